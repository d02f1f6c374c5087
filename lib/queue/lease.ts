import { pause } from '../backoff.ts';
import type { Clock, ClockTimer } from '../clock.ts';
import { BackupError } from '../errors.ts';

/** How often it is tried to say that work is over, within the time between two prolongings of its lease. */
const TRIES_PER_BEAT = 5;
/** For so many of them it is tried: about as long as a lease lasts. */
const BEATS = 4;
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

/** Says again and again that work goes on, until that is over or another process's. */
export class Lease {
  readonly #held: Pick<Held, 'keep'>;
  readonly #beatMs: number;
  readonly #clock: Clock;
  readonly #lost = new AbortController();
  #timer: ClockTimer | undefined;
  #ended = false;

  constructor(held: Pick<Held, 'keep'>, { beatMs, clock }: LeaseParts) {
    this.#held = held;
    this.#beatMs = beatMs;
    this.#clock = clock;
    this.#later();
  }

  /** Aborts when the lease has ended. */
  get lost(): AbortSignal {
    return this.#lost.signal;
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
      // While the server cannot be reached, nobody can take it either.
    }
    this.#later();
  }

  async #ask(): Promise<void> {
    const held = await this.#held.keep();
    if (held || this.#ended) return;
    this.end();
    this.#lost.abort(new BackupError('aborted', 'Another process has taken its schedule over'));
  }
}
