import { type Clock, type ClockTimer, systemClock } from '../clock.ts';
import { type BackupError, toBackupError } from '../errors.ts';
import type { Fire } from '../schedule/scheduler.ts';
import { type FireLease, Lease } from './lease.ts';
import type { TakenFire } from './shared-fires.ts';

/** How often it is asked whether a fire waits, in ms. */
const ASK_MS = 5_000;

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
   * @param lease tells when the fire is another process's by now
   */
  readonly run: (fire: Fire, attempt: number, lease: FireLease) => Promise<FireOutcome>;
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
    const lease = new Lease(taken, { beatMs: this.#parts.beatMs, clock: this.#clock });
    try {
      const outcome = await this.#parts.run(taken.fire, taken.attempt, lease);
      const giveBack = () => taken.giveBack('the process that had begun it was stopped');
      await lease.settle(() => (outcome === 'done' ? taken.done() : giveBack()));
    } finally {
      lease.end();
    }
  }
}
