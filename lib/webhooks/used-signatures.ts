import type { Clock } from '../clock.ts';
import { type Refusal, refusal } from './refusal.ts';
import type { TimedSignature } from './timed-signature.ts';

/** Only who knows the secret gets a signature in here: more of them in an hour are a mistake. */
const MAX_USED = 100_000;
/** Longest tolerance, in seconds. So long a signature is remembered: the tolerance of a node may be raised. */
export const MAX_TOLERANCE = 3600;

/**
 * Lets each signed request pass once, within some minutes of its time. What was used before the process started is not
 * known: requests from before are refused.
 */
export class UsedSignatures {
  readonly #clock: Clock;
  /** In seconds since 1970. */
  readonly #since: number;
  /** Hex of each signature, with the time until which it could be taken, in seconds since 1970. */
  readonly #used = new Map<string, number>();

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#since = Math.floor(clock.now() / 1000);
  }

  /**
   * @param tolerance how far the time of a request may be from that of this host, in seconds
   * @returns why it is refused; undefined the first time, which is remembered
   */
  use({ time, signature }: TimedSignature, tolerance: number): Refusal | undefined {
    const now = this.#clock.now() / 1000;
    this.#forget(now);
    if (Math.abs(now - time) > tolerance) {
      const what = time < now ? 'is too old' : 'lies in the future';
      return refusal(
        401,
        'expired',
        `The time of the signature ${what}: sign each request, and set the clocks`,
      );
    }
    if (time < this.#since) {
      return refusal(401, 'expired', 'The request was signed before DBackup has started: sign it again');
    }
    const name = signature.toString('hex');
    if (this.#used.has(name)) return refusal(401, 'replayed', 'The request has come before: sign it again');
    if (this.#used.size >= MAX_USED) return refusal(401, 'expired', 'Too many requests: try again later');
    this.#used.set(name, time + MAX_TOLERANCE);
    return undefined;
  }

  #forget(now: number): void {
    for (const [name, until] of this.#used) if (until < now) this.#used.delete(name);
  }
}
