const SIGNALS = ['SIGINT', 'SIGTERM'] as const;

/**
 * Calls when the process is asked to end, before those who listen already. Only then: a first listener would
 * keep the signal from ending the process. Returns how to stop listening.
 */
export function whenProcessEnds(call: () => void): () => void {
  const signals = SIGNALS.filter((signal) => process.listenerCount(signal) > 0);
  for (const signal of signals) process.prependListener(signal, call);
  return () => {
    for (const signal of signals) process.off(signal, call);
  };
}
