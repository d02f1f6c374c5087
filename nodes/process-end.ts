/** What Node-RED ends at. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGUSR2'] as const;

/**
 * Calls each time the process is asked to end, before those who listen already. Only at what somebody listens to: a
 * first listener would keep the signal from ending the process. Returns how to stop listening.
 */
export function whenProcessEnds(call: () => void): () => void {
  const signals = SIGNALS.filter((signal) => process.listenerCount(signal) > 0);
  for (const signal of signals) process.prependListener(signal, call);
  // Some process managers send a message in place of a signal.
  const told = (message: unknown) => {
    if (message === 'shutdown') call();
  };
  const hears = process.listenerCount('message') > 0;
  if (hears) process.prependListener('message', told);
  return () => {
    for (const signal of signals) process.off(signal, call);
    if (hears) process.off('message', told);
  };
}
