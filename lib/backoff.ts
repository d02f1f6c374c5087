import { type Clock, systemClock } from './clock.ts';
import { abortError, throwIfAborted } from './errors.ts';

/** How the pauses between attempts grow, in ms. */
export interface Backoff {
  /** Longest pause before the second attempt: it doubles with each one. */
  readonly firstMs: number;
  /** No pause is longer. */
  readonly longestMs: number;
}

/**
 * How long to wait before the next attempt, in ms: exponential, with full jitter, so that many clients that
 * failed together do not come back together.
 * @param failed how many attempts have failed so far, at least 1
 * @param random at least 0, less than 1
 */
export function pauseBefore(
  failed: number,
  { firstMs, longestMs }: Backoff,
  random: () => number = Math.random,
): number {
  return random() * Math.min(longestMs, firstMs * 2 ** (failed - 1));
}

/** @throws BackupError the signal's reason, when it aborts meanwhile */
export function pause(ms: number, signal: AbortSignal, clock: Clock = systemClock): Promise<void> {
  return new Promise((resolve, reject) => {
    throwIfAborted(signal);
    const timer = clock.setTimer(() => {
      signal.removeEventListener('abort', stop);
      resolve();
    }, ms);
    const stop = () => {
      timer.cancel();
      reject(abortError(signal));
    };
    signal.addEventListener('abort', stop, { once: true });
  });
}
