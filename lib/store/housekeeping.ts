import { randomUUID } from 'node:crypto';
import { settled } from '../abort.ts';
import type { Clock, ClockTimer } from '../clock.ts';
import type { BackupError } from '../errors.ts';
import type { StoreBackend } from './backend.ts';
import { failInterruptedRuns, type InterruptedRun } from './interrupted.ts';
import { storeError } from './store-error.ts';

const DAY_MS = 86_400_000;
/** A heart that has missed so many beats has stood still. */
const MISSED_BEATS = 3;
/** How long the end waits for what is under way, in ms. */
const PATIENCE_MS = 3_000;

export interface HousekeepingOptions {
  readonly backend: StoreBackend;
  readonly clock: Clock;
  /** Runs of this process that others have failed in the belief that it was dead go on. */
  takeBack(): Promise<void>;
  /** Removes what is too old, as long as the signal does not abort. */
  prune(signal: AbortSignal): Promise<void>;
  interrupted(runs: readonly InterruptedRun[]): void;
  tell(level: 'info' | 'warn', message: string): void;
}

/**
 * What a process does for the store as long as it has it open: it says that it lives, fails the runs of those that do
 * not any more, and removes each day what is too old.
 */
export class Housekeeping {
  readonly #options: HousekeepingOptions;
  readonly #closing = new AbortController();
  #instance: string = randomUUID();
  #timer: ClockTimer | undefined;
  #work: Promise<void> | undefined;
  #pruning: Promise<void> | undefined;
  /** Until what is too old is looked for again, in ms of the process. */
  #untilPrune = DAY_MS;
  /** Beats that have succeeded in a row since the others were looked at. */
  #steady = 0;
  #lastBeat = 0;
  /** Others have failed runs of this process, which were not taken back yet. */
  #wasBuried = false;
  #problem: BackupError | undefined;

  constructor(options: HousekeepingOptions) {
    this.#options = options;
  }

  /** Id of this process in the store. It changes when others have taken it for dead. */
  get instance(): string {
    return this.#instance;
  }

  /** Registers this process, and fails the runs of dead ones. @throws the database's error */
  async begin(): Promise<InterruptedRun[]> {
    const { clock, backend } = this.#options;
    await backend.liveness.join(this.#instance);
    this.#lastBeat = clock.now();
    const failed = await this.#recover();
    this.#arm();
    this.#prune();
    return failed;
  }

  /** Resolves when nothing is under way any more. Never rejects. */
  async end(): Promise<void> {
    this.#closing.abort();
    this.#timer?.cancel();
    // What hangs with the connection ends with it.
    await settled(Promise.all([this.#work, this.#pruning]), PATIENCE_MS);
  }

  /** The next time does not wait for this one: where the store hangs, it is left out. */
  #arm(): void {
    const { clock, backend } = this.#options;
    this.#timer = clock.setTimer(() => {
      this.#arm();
      this.#work ??= this.#attempt(() => this.#tick()).finally(() => (this.#work = undefined));
      this.#untilPrune -= backend.liveness.beatMs;
      if (this.#untilPrune <= 0) this.#prune();
    }, backend.liveness.beatMs);
  }

  /** Trouble is told when it begins and when it ends. */
  async #attempt(work: () => Promise<void>): Promise<void> {
    const { backend, tell } = this.#options;
    try {
      await work();
      if (this.#problem !== undefined) tell('info', `The store ${backend.name} can be used again`);
      this.#problem = undefined;
    } catch (thrown) {
      this.#steady = 0;
      const problem = storeError(thrown, backend.name);
      if (this.#problem === undefined && !this.#closing.signal.aborted) tell('warn', problem.message);
      this.#problem = problem;
    }
  }

  async #tick(): Promise<void> {
    await this.#beat();
    const { liveness } = this.#options.backend;
    if (this.#steady >= liveness.beatsBeforeRecovery) {
      this.#steady = 0;
      const failed = await this.#recover();
      if (failed.length > 0) this.#options.interrupted(failed);
    }
  }

  async #beat(): Promise<void> {
    const { clock, backend } = this.#options;
    const lives = await backend.liveness.beat(this.#instance);
    const now = clock.now();
    const pause = Math.abs(now - this.#lastBeat);
    this.#lastBeat = now;
    this.#steady = pause > MISSED_BEATS * backend.liveness.beatMs ? 1 : this.#steady + 1;
    if (!lives) await this.#joinAgain();
    if (this.#wasBuried) await this.#options.takeBack();
    this.#wasBuried = false;
  }

  /** The clock has jumped, or the process or its machine has stood still for too long. */
  async #joinAgain(): Promise<void> {
    const { backend, tell } = this.#options;
    const buried = this.#instance;
    const fresh = randomUUID();
    await backend.liveness.join(fresh);
    this.#instance = fresh;
    this.#wasBuried = true;
    backend.liveness.leave(buried);
    tell(
      'warn',
      'This process was taken for dead, since it had stood still or could not reach the store for too long: it has registered anew, and its runs go on',
    );
  }

  async #recover(): Promise<InterruptedRun[]> {
    const { backend, clock } = this.#options;
    const now = new Date(clock.now());
    return await failInterruptedRuns(backend.db, backend.liveness, this.#instance, now);
  }

  /** Beside the rest: it may take its time. */
  #prune(): void {
    const { prune } = this.#options;
    this.#untilPrune = DAY_MS;
    this.#pruning ??= this.#attempt(() => prune(this.#closing.signal)).finally(
      () => (this.#pruning = undefined),
    );
  }
}
