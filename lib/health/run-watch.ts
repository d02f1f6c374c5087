import type { EventEmitter } from 'node:events';
import type { Clock } from '../clock.ts';
import type { EngineEvents } from '../runs/outcome.ts';
import type { HealthCheck, Verdict } from './check.ts';

/** How long nothing may move in a run: a database may let a dump wait for a lock. In ms. */
const QUIET_MS = 15 * 60_000;
const STUCK_MS = 60 * 60_000;

/** Sees whether the runs that are active get on. */
export class RunWatch implements HealthCheck {
  readonly name = 'engine';
  readonly #clock: Clock;
  readonly #moved = new Map<string, { readonly job: string; at: number }>();

  constructor(events: EventEmitter<EngineEvents>, clock: Clock) {
    this.#clock = clock;
    // One that has not begun may have to wait.
    events.on('state', ({ runId, job, state }) => {
      if (state === 'running' || this.#moved.has(runId)) this.#move(runId, job);
    });
    events.on('progress', ({ runId, job }) => this.#move(runId, job));
    events.on('finished', ({ runId }) => this.#moved.delete(runId));
  }

  look(): Verdict {
    const now = this.#clock.now();
    const sorted = [...this.#moved].toSorted(([, a], [, b]) => a.at - b.at);
    const [longest, last] = [sorted[0], sorted.at(-1)];
    if (longest === undefined || last === undefined) return { state: 'ok', message: 'No run is going on' };
    const [runId, { job, at }] = longest;
    const quietMs = now - at;
    if (quietMs < QUIET_MS) return { state: 'ok', message: `${counted(this.#moved.size)} going on` };
    const message = `Run ${runId} of ${job} has not moved for ${Math.floor(quietMs / 60_000)} minutes: see what its database or storage waits for, or cancel it`;
    // It may wait for its turn behind one that gets on.
    const isStuck = quietMs >= STUCK_MS && now - last[1].at >= QUIET_MS;
    return { state: isStuck ? 'fail' : 'warn', message };
  }

  #move(runId: string, job: string): void {
    this.#moved.set(runId, { job, at: this.#clock.now() });
  }
}

function counted(runs: number): string {
  return runs === 1 ? '1 run is' : `${runs} runs are`;
}
