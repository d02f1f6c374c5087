import type { EventEmitter } from 'node:events';
import type { Clock } from '../clock.ts';
import type { ActiveRun } from '../engine/backup-engine.ts';
import type { QueueLimits } from '../queue/limits.ts';
import type { EngineEvents } from '../runs/outcome.ts';
import type { HealthCheck, Verdict } from './check.ts';

/** A run whose turn has come begins at once: it is late after that time, in ms. */
const LATE_MS = 60_000;
/** Runs that wait for so long are opened faster than they are done, in ms. */
const LONG_MS = 6 * 3_600_000;

export interface QueueCheckParts {
  readonly events: EventEmitter<EngineEvents>;
  readonly clock: Clock;
  readonly limits: QueueLimits;
  activeRuns(): readonly ActiveRun[];
}

/** No run waits while there is room for it. It goes by the runs, not by what the queue believes. */
export class QueueCheck implements HealthCheck {
  readonly name = 'queue';
  readonly #parts: QueueCheckParts;
  /** When a run last entered a state, or ended. */
  #movedAt: number;
  /** Since when each of those waits that have to. */
  readonly #since = new Map<string, number>();

  constructor(parts: QueueCheckParts) {
    this.#parts = parts;
    const { events, clock } = parts;
    this.#movedAt = clock.now();
    events.on('state', ({ runId, state }) => {
      this.#movedAt = clock.now();
      if (state !== 'queued') this.#since.delete(runId);
    });
    events.on('queued', ({ runId }) => {
      if (!this.#since.has(runId)) this.#since.set(runId, clock.now());
    });
  }

  look(): Verdict {
    const runs = this.#parts.activeRuns();
    const [first, ...others] = runs
      .filter(({ place }) => place !== undefined && place.elsewhere === undefined)
      .toSorted((a, b) => (a.place?.position ?? 0) - (b.place?.position ?? 0));
    if (first === undefined) return { state: 'ok', message: 'No run waits' };
    const now = this.#parts.clock.now();
    if (this.#hasRoom(first, runs) && now - this.#movedAt >= LATE_MS) {
      const message = `Run ${first.runId} of ${first.job} waits although there is room for it: restart DBackup`;
      return { state: 'fail', message };
    }
    const longest = Math.max(...[...this.#since.values()].map((at) => now - at));
    const count = others.length + 1;
    const message = count === 1 ? '1 run waits' : `${count} runs wait`;
    if (longest < LONG_MS) return { state: 'ok', message };
    const hours = Math.floor(longest / 3_600_000);
    return {
      state: 'warn',
      message: `${message}, one of them for ${hours} hours: let more go on at a time, or start fewer`,
    };
  }

  #hasRoom({ servers }: ActiveRun, runs: readonly ActiveRun[]): boolean {
    const { concurrency, perServer } = this.#parts.limits;
    const going = runs.filter(
      ({ state, place }) => state !== 'planning' && (place === undefined || place.elsewhere === true),
    );
    if (going.length >= concurrency) return false;
    return servers.every((server) => going.filter((run) => run.servers.includes(server)).length < perServer);
  }
}
