import type { Clock, ClockTimer } from '../clock.ts';
import type { BackupEngine } from '../engine/backup-engine.ts';

/** How often it is looked whether somebody wants to end a run of this process, in ms. */
const EVERY_MS = 2_000;

export interface CancelWatchParts {
  readonly engine: Pick<BackupEngine, 'events' | 'activeRuns' | 'cancel'>;
  readonly clock: Clock;
  /** Reasons of those of these runs that somebody, perhaps in another process, wants to end. */
  requested(runs: readonly string[]): Promise<ReadonlyMap<string, string>>;
}

/** Ends runs of this process that another one has asked to end. It looks as long as there is a run. */
export class CancelWatch {
  readonly #parts: CancelWatchParts;
  #timer: ClockTimer | undefined;
  #closed = false;

  constructor(parts: CancelWatchParts) {
    this.#parts = parts;
    parts.engine.events.on('state', () => this.#arm());
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #arm(): void {
    const { clock, engine } = this.#parts;
    if (this.#closed || this.#timer !== undefined || engine.activeRuns().length === 0) return;
    this.#timer = clock.setTimer(() => void this.#look(), EVERY_MS);
  }

  /** A history that does not answer is told of elsewhere; it is asked again. */
  async #look(): Promise<void> {
    const { engine, requested } = this.#parts;
    const runs = engine.activeRuns().map(({ runId }) => runId);
    const reasons = await requested(runs).catch(() => new Map<string, string>());
    for (const [runId, reason] of reasons) engine.cancel(runId, reason);
    this.#timer = undefined;
    this.#arm();
  }
}
