import { setTimeout as wait } from 'node:timers/promises';
import { throwIfAborted } from '../../errors.ts';

/** Longest pause before the second attempt, in ms: it doubles with each one. */
const BASE_MS = 250;
/** The same for a server that asks to slow down. */
const BUSY_BASE_MS = 1000;
const LONGEST_MS = 20_000;

/**
 * How long to wait before the next attempt, in ms: exponential, with full jitter, so that many clients that
 * failed together do not come back together.
 * @param failed how many attempts have failed so far
 */
export function pauseBefore(failed: number, busy: boolean, random: () => number = Math.random): number {
  const base = busy ? BUSY_BASE_MS : BASE_MS;
  return random() * Math.min(LONGEST_MS, base * 2 ** (failed - 1));
}

/** @throws BackupError the signal's reason, when it aborts meanwhile */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, undefined, { signal }).catch(() => undefined);
  throwIfAborted(signal);
}
