import { settled } from '../../lib/abort.ts';
import type { Clock } from '../../lib/clock.ts';
import type { BackupEngine } from '../../lib/engine/backup-engine.ts';
import type { HealthCheck, HealthReport } from '../../lib/health/check.ts';
import { Health } from '../../lib/health/health.ts';
import { QueueCheck } from '../../lib/health/queue-check.ts';
import { RunWatch } from '../../lib/health/run-watch.ts';
import { scheduleVerdict } from '../../lib/health/schedule-check.ts';
import { spaceVerdict } from '../../lib/health/space-check.ts';
import { SpaceWatch } from '../../lib/health/space-watch.ts';
import { StoreCheck } from '../../lib/health/store-check.ts';
import type { QueueLimits } from '../../lib/queue/limits.ts';
import { FlowsCheck, type FlowsCheckParts } from './flows-check.ts';
import type { WatchedNodes } from './watched-nodes.ts';

/** How long the very first answer waits for what it does not know yet, in ms. */
const FIRST_ANSWER_MS = 500;

export interface ReadinessParts extends Omit<FlowsCheckParts, 'isEmpty'> {
  readonly engine: Pick<BackupEngine, 'events' | 'activeRuns'>;
  readonly limits: QueueLimits;
  readonly clock: Clock;
  readonly watched: WatchedNodes;
  /** Free bytes that each destination must have. */
  readonly leastFreeBytes: number;
  /** False where schedules do not fire by themselves. */
  readonly schedules: boolean;
  /** Writes something into the store. */
  probeStore(): Promise<void>;
}

/** Whether backups would succeed now. */
export class Readiness {
  readonly space: SpaceWatch;
  readonly #parts: ReadinessParts;
  readonly #health: Health;
  readonly #flows: FlowsCheck;
  readonly #store: StoreCheck;
  readonly #runs: RunWatch;
  readonly #queue: QueueCheck;
  #first: Promise<void> | undefined;

  constructor(parts: ReadinessParts) {
    const { clock, watched, events, closing, engine, limits } = parts;
    this.#parts = parts;
    this.space = new SpaceWatch(clock);
    this.#health = new Health(clock);
    this.#flows = new FlowsCheck({ events, clock, closing, isEmpty: () => watched.isEmpty });
    this.#store = new StoreCheck(() => parts.probeStore(), clock);
    this.#runs = new RunWatch(engine.events, clock);
    this.#queue = new QueueCheck({
      events: engine.events,
      clock,
      limits,
      activeRuns: () => engine.activeRuns(),
    });
  }

  /** Never rejects. */
  async report(): Promise<HealthReport> {
    this.#first ??= this.#askFirst();
    await this.#first;
    return this.#health.report(this.#checks());
  }

  dispose(): void {
    this.#flows.dispose();
  }

  #askFirst(): Promise<void> {
    for (const check of this.#checks()) check.look();
    return settled(Promise.all([this.#store.settled(), this.space.settled()]), FIRST_ANSWER_MS);
  }

  #checks(): HealthCheck[] {
    return [
      this.#flows,
      this.#store,
      this.#runs,
      this.#queue,
      ...this.#scheduleChecks(),
      ...this.#spaceChecks(),
    ];
  }

  #scheduleChecks(): HealthCheck[] {
    const { watched, clock, schedules } = this.#parts;
    if (!schedules) return [];
    return watched.schedules().map(({ name, schedule }) => ({
      name: 'schedule',
      subject: name,
      look: () => scheduleVerdict(schedule.watch(), clock.now()),
    }));
  }

  #spaceChecks(): HealthCheck[] {
    const { watched, leastFreeBytes } = this.#parts;
    const destinations = watched.destinations();
    this.space.keep(destinations.map(({ binding }) => binding.driver));
    return destinations.map(({ name, binding }) => ({
      name: 'free-space',
      subject: name,
      look: () => spaceVerdict(this.space.of(binding.driver), leastFreeBytes),
    }));
  }
}
