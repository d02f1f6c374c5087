import { orTimeout } from '../abort.ts';
import { pause } from '../backoff.ts';
import type { Clock, ClockTimer } from '../clock.ts';
import { BackupError, toBackupError } from '../errors.ts';

/** How often it is tried to say that work is over, within the time between two prolongings of its lease. */
const TRIES_PER_BEAT = 5;
/** For so many of them it is tried: about as long as a lease lasts. */
const BEATS = 4;
/** How long who wants to begin something waits for an answer whether it may, in ms. */
const ANSWER_MS = 10_000;
const NEVER = new AbortController().signal;

/** Work that all processes know of while it is prolonged. */
export interface Held {
  /** Prolongs the lease. False when it has ended, so that the work may be another process's by now. */
  keep(): Promise<boolean>;
  /** It is dealt with. */
  done(): Promise<void>;
}

export interface LeaseParts {
  /** How often it is to be prolonged, in ms. */
  readonly beatMs: number;
  readonly clock: Clock;
}

/** What was begun hangs on that the fire behind it is not another process's. */
export interface FireLease {
  /** Aborts when that is known to be so. */
  readonly lost: AbortSignal;
  /**
   * Asks whether it is so by now.
   * @throws BackupError `unavailable` when the server does not say, and another process may have asked it meanwhile
   */
  isLost(): Promise<boolean>;
}

/** Says again and again that work goes on, until that is over or another process's. */
export class Lease implements FireLease {
  readonly #held: Pick<Held, 'keep'>;
  readonly #beatMs: number;
  readonly #clock: Clock;
  readonly #lost = new AbortController();
  #timer: ClockTimer | undefined;
  #ended = false;
  /** Nobody else can have taken it before, in ms since 1970. */
  #safeUntil: number;

  constructor(held: Pick<Held, 'keep'>, { beatMs, clock }: LeaseParts) {
    this.#held = held;
    this.#beatMs = beatMs;
    this.#clock = clock;
    this.#safeUntil = clock.now() + beatMs;
    this.#later();
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  async isLost(): Promise<boolean> {
    if (this.#ended) return this.lost.aborted;
    try {
      const late = () => new BackupError('stalled', `it has not answered for ${ANSWER_MS / 1000} s`);
      await orTimeout(this.#ask(), ANSWER_MS, late);
    } catch (thrown) {
      if (this.#clock.now() < this.#safeUntil) return false;
      const why = toBackupError(thrown).message;
      throw new BackupError(
        'unavailable',
        `It cannot be known whether another process has taken this fire of the schedule over: ${why}`,
        { transient: true },
      );
    }
    return this.lost.aborted;
  }

  end(): void {
    this.#ended = true;
    this.#timer?.cancel();
  }

  /**
   * Says what has become of the work, unless it is another process's. While the server is away it is tried again: another
   * process would begin once more what is dealt with.
   */
  async settle(tell: () => Promise<void>): Promise<void> {
    for (let tries = 1; !this.lost.aborted; tries += 1) {
      try {
        await tell();
        return;
      } catch (thrown) {
        if (tries >= TRIES_PER_BEAT * BEATS) throw thrown;
      }
      await pause(this.#beatMs / TRIES_PER_BEAT, NEVER, this.#clock);
    }
  }

  #later(): void {
    if (!this.#ended) this.#timer = this.#clock.setTimer(() => void this.#beat(), this.#beatMs);
  }

  async #beat(): Promise<void> {
    try {
      await this.#ask();
    } catch {
      // Most likely nobody else reaches the server either. What begins a run asks anew.
    }
    this.#later();
  }

  async #ask(): Promise<void> {
    const asked = this.#clock.now();
    const held = await this.#held.keep();
    if (held) this.#safeUntil = asked + this.#beatMs * BEATS;
    if (held || this.#ended) return;
    this.end();
    this.#lost.abort(new BackupError('aborted', 'Another process has taken its schedule over'));
  }
}
