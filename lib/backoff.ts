import { setTimeout as sleep } from 'node:timers/promises';
import { throwIfAborted } from './errors.ts';

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
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
  throwIfAborted(signal);
}

/** Time, as those who wait between attempts see it. A test may bring its own, which takes none. */
export interface Clock {
  /** In ms, from any beginning; never goes back. */
  now(): number;
  /** At least 0, less than 1. */
  random(): number;
  /** @throws BackupError the signal's reason, when it aborts meanwhile */
  pause(ms: number, signal: AbortSignal): Promise<void>;
}

export const SYSTEM_CLOCK: Clock = {
  now: () => performance.now(),
  random: () => Math.random(),
  pause,
};
