import { pause } from '../backoff.ts';
import { type Clock, type ClockTimer, systemClock } from '../clock.ts';
import { BackupError, toBackupError } from '../errors.ts';
import type { Fire } from '../schedule/scheduler.ts';
import { LONGEST_LEASE_SECONDS, type TakenFire } from './shared-fires.ts';

/** How often it is asked whether a fire waits, in ms. */
const ASK_MS = 5_000;
/** How often it is tried to say that a fire is dealt with, within the time between two prolongings of its lease. */
const TRIES_PER_BEAT = 5;
/** For so many of them it is tried: about as long as a lease lasts. */
const BEATS = 4;
/** A fire that has been at work for so long is given out of hand before its lease must end, in ms. */
const LONGEST_MS = (LONGEST_LEASE_SECONDS - 3600) * 1000;
const NEVER = new AbortController().signal;

/** What became of a fire: it is dealt with, or shall be begun again by another process. */
export type FireOutcome = 'done' | 'again';

export interface FireWorkerParts {
  /** How often a lease is to be prolonged, in ms. */
  readonly beatMs: number;
  readonly take: () => Promise<TakenFire | undefined>;
  /** False while this process could not begin one. */
  readonly mayTake: () => boolean;
  /**
   * Begins a fire, and resolves when what it has begun has ended. Never rejects.
   * @param lost aborts when the fire is another process's by now
   */
  readonly run: (fire: Fire, attempt: number, lost: AbortSignal) => Promise<FireOutcome>;
  /** Told once until it works again. */
  readonly failed: (error: BackupError) => void;
  readonly clock?: Clock;
  readonly askMs?: number;
}

/** Takes the fires of one schedule that wait, one at a time, and keeps their leases while they are at work. */
export class FireWorker {
  readonly #parts: FireWorkerParts;
  readonly #clock: Clock;
  readonly #askMs: number;
  #timer: ClockTimer | undefined;
  #working: Promise<void> | undefined;
  #failure: string | undefined;
  #stopped = false;

  constructor(parts: FireWorkerParts) {
    this.#parts = parts;
    this.#clock = parts.clock ?? systemClock;
    this.#askMs = parts.askMs ?? ASK_MS;
  }

  /** Asks now, and from then on again and again. */
  wake(): void {
    if (this.#stopped || this.#working !== undefined) return;
    this.#timer?.cancel();
    this.#working = this.#work().finally(() => {
      this.#working = undefined;
      if (!this.#stopped) this.#timer = this.#clock.setTimer(() => this.wake(), this.#askMs);
    });
  }

  /** Takes none any more. @returns resolves when the one that was taken is dealt with or given back */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#working;
  }

  /** Never rejects. */
  async #work(): Promise<void> {
    try {
      while (!this.#stopped && this.#parts.mayTake()) {
        const taken = await this.#parts.take();
        this.#failure = undefined;
        if (taken === undefined) return;
        await this.#deal(taken);
      }
    } catch (thrown) {
      const error = toBackupError(thrown);
      if (this.#failure !== error.message) this.#parts.failed(error);
      this.#failure = error.message;
    }
  }

  async #deal(taken: TakenFire): Promise<void> {
    const lease = new Lease(taken, this.#parts.beatMs, this.#clock);
    try {
      const outcome = await this.#parts.run(taken.fire, taken.attempt, lease.lost);
      const giveBack = () => taken.giveBack('the process that had begun it was stopped');
      await this.#settle(lease, () => (outcome === 'done' ? taken.done() : giveBack()));
    } finally {
      lease.end();
    }
  }

  /** While the server is away it is tried again: another process would begin once more what is dealt with. */
  async #settle(lease: Lease, tell: () => Promise<void>): Promise<void> {
    for (let tries = 1; !lease.lost.aborted && !lease.released; tries += 1) {
      try {
        await tell();
        return;
      } catch (thrown) {
        if (tries >= TRIES_PER_BEAT * BEATS) throw thrown;
      }
      await pause(this.#parts.beatMs / TRIES_PER_BEAT, NEVER, this.#clock);
    }
  }
}

/** Says again and again that a fire is at work. */
class Lease {
  readonly #taken: TakenFire;
  readonly #beatMs: number;
  readonly #clock: Clock;
  readonly #lost = new AbortController();
  readonly #since: number;
  #timer: ClockTimer | undefined;
  #ended = false;
  /** It was at work for so long that its lease was given up. */
  released = false;

  constructor(taken: TakenFire, beatMs: number, clock: Clock) {
    this.#taken = taken;
    this.#beatMs = beatMs;
    this.#clock = clock;
    this.#since = clock.now();
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

  #later(): void {
    if (!this.#ended) this.#timer = this.#clock.setTimer(() => void this.#beat(), this.#beatMs);
  }

  async #beat(): Promise<void> {
    try {
      if (this.#clock.now() - this.#since > LONGEST_MS) return await this.#release();
      const held = await this.#taken.keep();
      if (!held && !this.#ended) {
        this.end();
        this.#lost.abort(new BackupError('aborted', 'Another process has taken its schedule over'));
      }
    } catch {
      // While the server cannot be reached, nobody can take it either.
    }
    this.#later();
  }

  async #release(): Promise<void> {
    await this.#taken.done();
    this.released = true;
    this.end();
  }
}
