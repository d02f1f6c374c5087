import { type Backoff, pause, pauseBefore } from '../backoff.ts';
import type { Clock } from '../clock.ts';
import type { BackupError, ErrorCode } from '../errors.ts';

export interface RetryLimits {
  /** How often a destination is tried that fails with passing errors, the first time included. */
  readonly destinationAttempts: number;
  /** How often a database is dumped in one run. */
  readonly databaseAttempts: number;
  readonly pauses: Backoff;
}

/** Five attempts over about two minutes, four at most. */
export const DEFAULT_LIMITS: RetryLimits = {
  destinationAttempts: 5,
  databaseAttempts: 3,
  pauses: { firstMs: 16_000, longestMs: 120_000 },
};

/** These stay until somebody changes something; asking again may even lock an account. */
const PERMANENT: readonly ErrorCode[] = [
  'invalid-config',
  'permission',
  'already-exists',
  'wrong-key',
  'missing-key',
  'aborted',
];

/** What is waited for between two attempts. */
export interface NextAttempt {
  /** From 2. */
  readonly attempt: number;
  /** How many there may be in all. */
  readonly attempts: number;
  /** Until it begins. */
  readonly seconds: number;
}

/** Decides what a run tries again, and when. */
export class Retries {
  readonly limits: RetryLimits;
  readonly #clock: Clock;
  readonly #random: () => number;

  /** @param random at least 0, less than 1 */
  constructor(limits: RetryLimits, clock: Clock, random: () => number) {
    this.limits = limits;
    this.#clock = clock;
    this.#random = random;
  }

  /** In ms, by the clock of the host. */
  now(): number {
    return this.#clock.now();
  }

  /** The same, for records. */
  date(): Date {
    return new Date(this.#clock.now());
  }

  /**
   * How many attempts a destination has whose last one failed so: what passes by itself is tried again and
   * again, what is permanent never, and all else (a full disk, a missing folder) once more.
   */
  destinationAttempts({ code, transient }: BackupError): number {
    const { destinationAttempts } = this.limits;
    if (transient) return destinationAttempts;
    return PERMANENT.includes(code) ? 1 : Math.min(2, destinationAttempts);
  }

  /** In ms. @param failed attempts so far */
  pauseAfter(failed: number): number {
    return pauseBefore(failed, this.limits.pauses, this.#random);
  }

  /**
   * Waits, and tells every second how many are left.
   * @throws BackupError when the signal aborts
   */
  async wait(ms: number, signal: AbortSignal, onSecond: (left: number) => void): Promise<void> {
    for (let left = ms; left > 0; left -= 1000) {
      onSecond(Math.ceil(left / 1000));
      await pause(Math.min(left, 1000), signal, this.#clock);
    }
  }
}

/** `attempt 2 of 5 in 8 s` */
export function attemptText({ attempt, attempts, seconds }: NextAttempt): string {
  const when = seconds > 0 ? ` in ${seconds} s` : '';
  return `attempt ${attempt} of ${attempts}${when}`;
}
