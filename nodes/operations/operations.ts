import type { BackupEvents } from '../../lib/events/event-bus.ts';
import type { HealthReport } from '../../lib/health/check.ts';
import { SpaceAlarm } from '../../lib/health/space-alarm.ts';
import type { ChannelName } from '../../lib/notifiers/notifier.ts';
import type { Sent } from '../../lib/notifiers/outbox.ts';
import type { JobStanding } from '../../lib/runs/jobs.ts';
import type { LastRun } from '../../lib/store/last-runs.ts';
import { Metrics, type MetricsPage } from './metrics.ts';
import { Readiness, type ReadinessParts } from './readiness.ts';

/** What is answered at each address. */
export type OperationName = 'healthz' | 'readyz' | 'metrics';

export interface OperationsParts extends ReadinessParts {
  readonly happenings: Pick<BackupEvents, 'tell'>;
  lastRuns(): Promise<readonly LastRun[]>;
  jobStandings(): Promise<ReadonlyMap<string, JobStanding>>;
}

/** Health and metrics of one Node-RED, for whoever operates it. */
export class Operations {
  readonly #parts: OperationsParts;
  readonly #readiness: Readiness;
  readonly #metrics: Metrics;
  readonly #spaceAlarm: SpaceAlarm;

  constructor(parts: OperationsParts) {
    this.#parts = parts;
    this.#readiness = new Readiness(parts);
    this.#metrics = new Metrics({ ...parts, readiness: this.#readiness });
    const { clock, watched, leastFreeBytes, happenings, engine } = parts;
    this.#spaceAlarm = new SpaceAlarm({
      space: this.#readiness.space,
      clock,
      leastBytes: leastFreeBytes,
      destinations: () => watched.destinations(),
      tell: (event) => happenings.tell(event),
    });
    engine.events.on('finished', this.#ended);
    // What runs once is over before anybody asks.
    if (parts.schedules) parts.events.on('flows:started', this.#begin);
  }

  /** Whether backups would succeed now. Never rejects. */
  ready(): Promise<HealthReport> {
    return this.#readiness.report();
  }

  /** @throws BackupError `unavailable` when the package prom-client is not installed */
  metrics(): Promise<MetricsPage> {
    return this.#metrics.page();
  }

  /** Makes the counters of a channel known: one that appears with its first failure hides that from `increase`. */
  knowNotifier(channel: ChannelName): void {
    this.#metrics.knowNotifier(channel);
  }

  /** Counts what became of a notification. */
  notified(channel: ChannelName, outcome: Sent['status']): void {
    this.#metrics.notified(channel, outcome);
  }

  dispose(): void {
    this.#parts.events.removeListener('flows:started', this.#begin);
    this.#parts.engine.events.removeListener('finished', this.#ended);
    this.#spaceAlarm.stop();
    this.#readiness.dispose();
  }

  readonly #begin = (): void => {
    this.#metrics.begin();
    this.#spaceAlarm.begin();
  };

  /** A backup takes space. */
  readonly #ended = (): void => {
    if (this.#parts.schedules) this.#spaceAlarm.begin();
  };
}
