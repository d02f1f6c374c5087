import type { EventEmitter } from 'node:events';
import type { Clock } from '../../lib/clock.ts';
import { prometheusLibrary } from '../../lib/metrics/prometheus-library.ts';
import { MetricRegistry } from '../../lib/metrics/registry.ts';
import { RunMetrics } from '../../lib/metrics/run-metrics.ts';
import { setStanding } from '../../lib/metrics/state-metrics.ts';
import type { ChannelName } from '../../lib/notifiers/notifier.ts';
import type { Sent } from '../../lib/notifiers/outbox.ts';
import { type JobStanding, NEW_JOB } from '../../lib/runs/jobs.ts';
import type { EngineEvents } from '../../lib/runs/outcome.ts';
import type { LastRun } from '../../lib/store/last-runs.ts';
import type { Readiness } from './readiness.ts';
import type { WatchedNodes } from './watched-nodes.ts';

export interface MetricsParts {
  readonly clock: Clock;
  readonly watched: WatchedNodes;
  readonly readiness: Readiness;
  readonly engine: {
    readonly events: EventEmitter<EngineEvents>;
    activeRuns(): readonly { readonly state: string }[];
  };
  readonly schedules: boolean;
  lastRuns(): Promise<readonly LastRun[]>;
  jobStandings(): Promise<ReadonlyMap<string, JobStanding>>;
}

/** What Prometheus gets. */
export interface MetricsPage {
  readonly contentType: string;
  readonly text: string;
}

interface Kept {
  readonly registry: MetricRegistry;
  readonly runs: RunMetrics;
}

/** The metrics of one Node-RED. They count from `begin` on. */
export class Metrics {
  readonly #parts: MetricsParts;
  #recalled: string[] = [];
  #kept: Promise<Kept> | undefined;

  constructor(parts: MetricsParts) {
    this.#parts = parts;
  }

  /** Counts from now on, as far as the package for it is installed. */
  begin(): void {
    this.#keep().catch(() => undefined);
  }

  /** @throws BackupError `unavailable` when the package prom-client is not installed */
  async page(): Promise<MetricsPage> {
    const { registry, runs } = await this.#keep();
    await this.#recall(runs);
    setStanding(registry, await this.#standing());
    return { contentType: registry.contentType, text: await registry.text() };
  }

  /** Makes the counters of a channel known. */
  knowNotifier(channel: ChannelName): void {
    for (const outcome of ['delivered', 'failed'] as const) this.#count(channel, outcome, 0);
  }

  notified(channel: ChannelName, outcome: Sent['status']): void {
    this.#count(channel, outcome, 1);
  }

  /** Where nothing is counted, since the package is not installed or nobody asks, that is no error. */
  #count(channel: ChannelName, outcome: Sent['status'], value: number): void {
    if (!this.#parts.schedules) return;
    this.#keep().then(
      ({ registry }) => registry.add('dbackup_notifications_total', { channel, outcome }, value),
      () => undefined,
    );
  }

  #keep(): Promise<Kept> {
    const kept = this.#kept ?? this.#load();
    this.#kept = kept;
    // One that was not installed may be so by the next time.
    kept.catch(() => (this.#kept = undefined));
    return kept;
  }

  async #load(): Promise<Kept> {
    const { engine, watched, clock } = this.#parts;
    const registry = new MetricRegistry(await prometheusLibrary());
    const runs = new RunMetrics(registry, engine.events, (node) => watched.nameOf(node), clock);
    return { registry, runs };
  }

  /** What the history knows of the jobs of the flow: jobs of former flows shall raise no alarm. */
  async #recall(runs: RunMetrics): Promise<void> {
    const current = this.#parts.watched.jobs();
    // While a deploy replaces all nodes there are none.
    if (current.length === 0) return;
    runs.keepLastRuns(current);
    this.#recalled = this.#recalled.filter((job) => current.includes(job));
    const jobs = current.filter((job) => !this.#recalled.includes(job));
    if (jobs.length === 0) return;
    for (const job of jobs) runs.know(job);
    try {
      const known = await this.#parts.lastRuns();
      for (const last of known) if (jobs.includes(last.job)) runs.recall(last);
      this.#recalled.push(...jobs);
    } catch {
      // The readiness says what is wrong with the history; it is asked again the next time.
    }
  }

  /** How the jobs of the flow stand: none when the history does not tell, which the readiness says. */
  async #jobs() {
    const { jobStandings, watched } = this.#parts;
    const names = watched.jobs();
    const standings = await jobStandings().catch(() => undefined);
    if (standings === undefined) return [];
    return names.map((name) => ({ name, state: (standings.get(name) ?? NEW_JOB).state }));
  }

  async #standing() {
    const { clock, watched, readiness, engine, schedules } = this.#parts;
    const { state } = await readiness.report();
    return {
      now: clock.now(),
      ready: state !== 'fail',
      active: engine.activeRuns().map((run) => run.state),
      jobs: await this.#jobs(),
      destinations: watched.destinations().map(({ name, binding }) => {
        const space = readiness.space.of(binding.driver);
        return { name, freeBytes: space !== undefined && 'value' in space ? space.value : undefined };
      }),
      schedules: schedules
        ? watched.schedules().map(({ name, schedule }) => ({ name, watch: schedule.watch() }))
        : [],
    };
  }
}
