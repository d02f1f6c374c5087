import type { EventEmitter } from 'node:events';
import { isStored } from '../backupset/manifest.ts';
import { type Clock, systemClock } from '../clock.ts';
import { SKIP_REASONS } from '../runs/jobs.ts';
import type { DestinationOutcome, EngineEvents, RunProgress, RunResult } from '../runs/outcome.ts';
import type { LastRun } from '../store/last-runs.ts';
import type { MetricRegistry } from './registry.ts';

/** How a run may end, so that each of these counters is there before it first counts. */
const STATES = ['succeeded', 'partial', 'failed', 'cancelled'] as const;

/** What is told of a job's last run. */
const OF_LAST_RUN = [
  'dbackup_job_last_run_timestamp_seconds',
  'dbackup_job_last_run_succeeded',
  'dbackup_job_last_run_duration_seconds',
  'dbackup_job_last_run_raw_bytes',
  'dbackup_job_last_success_timestamp_seconds',
] as const;

/** Keeps the metrics of runs by what the engine tells. */
export class RunMetrics {
  readonly #registry: MetricRegistry;
  readonly #destinationName: (node: string) => string;
  readonly #jobs = new Set<string>();
  /** Jobs whose last run is told. */
  readonly #remembered = new Set<string>();
  /** Attempts that are waited for, by run: each pause is told of every second. */
  readonly #pauses = new Map<string, Set<string>>();
  /** Since when runs wait for their turn, in ms. */
  readonly #queuedAt = new Map<string, number>();

  /**
   * @param destinationName the label of the destination with this node id
   * @param clock what the time is measured with that runs wait
   */
  constructor(
    registry: MetricRegistry,
    events: EventEmitter<EngineEvents>,
    destinationName: (node: string) => string,
    clock: Pick<Clock, 'now'> = systemClock,
  ) {
    this.#registry = registry;
    this.#destinationName = destinationName;
    events.on('state', ({ runId, job, state }) => {
      this.know(job);
      if (state === 'queued') this.#queuedAt.set(runId, clock.now());
      else this.#leftQueue(runId, job, state === 'running' ? clock.now() : undefined);
    });
    events.on('progress', (progress) => this.#progressed(progress));
    events.on('finished', (result) => this.#finished(result));
    events.on('jobChanged', ({ job, to }) => {
      if (to === 'dead-lettered') registry.add('dbackup_dead_letters_total', { backup_job: job });
    });
    events.on('runSkipped', ({ job, reason }) => {
      this.know(job);
      registry.add('dbackup_runs_skipped_total', { backup_job: job, reason });
    });
  }

  /** Makes the counters of a job known: one that appears with its first failure hides that from `increase`. */
  know(job: string): void {
    if (this.#jobs.has(job)) return;
    this.#jobs.add(job);
    for (const state of STATES) this.#registry.add('dbackup_runs_total', { backup_job: job, state }, 0);
    this.#registry.add('dbackup_databases_failed_total', { backup_job: job }, 0);
    this.#registry.add('dbackup_retries_total', { backup_job: job }, 0);
    this.#registry.add('dbackup_dead_letters_total', { backup_job: job }, 0);
    for (const reason of SKIP_REASONS) {
      this.#registry.add('dbackup_runs_skipped_total', { backup_job: job, reason }, 0);
    }
  }

  /** What was known before this process started. */
  recall({ job, state, openedAt, finishedAt, rawBytes, succeededAt }: LastRun): void {
    const ended = Date.parse(finishedAt);
    this.#remember(job, state === 'succeeded', ended, ended - Date.parse(openedAt), rawBytes ?? 0);
    if (succeededAt === null) return;
    const succeeded = Date.parse(succeededAt) / 1000;
    this.#registry.set('dbackup_job_last_success_timestamp_seconds', { backup_job: job }, succeeded);
  }

  /** Forgets the last runs of all other jobs: those of a former flow shall raise no alarm. */
  keepLastRuns(jobs: readonly string[]): void {
    for (const job of this.#remembered) {
      if (jobs.includes(job)) continue;
      this.#remembered.delete(job);
      for (const name of OF_LAST_RUN) this.#registry.forget(name, { backup_job: job });
    }
  }

  /** @param now undefined when it did not come to its turn */
  #leftQueue(runId: string, job: string, now: number | undefined): void {
    const since = this.#queuedAt.get(runId);
    this.#queuedAt.delete(runId);
    if (since === undefined || now === undefined) return;
    // The clock may have been set back meanwhile.
    const seconds = Math.max(0, now - since) / 1000;
    this.#registry.observe('dbackup_queue_wait_seconds', { backup_job: job }, seconds);
  }

  #progressed({ runId, job, retry }: RunProgress): void {
    if (retry === undefined) return;
    const pauses = this.#pauses.get(runId) ?? new Set();
    this.#pauses.set(runId, pauses);
    const pause = `${retry.nodes.toSorted().join()}\n${retry.attempt}`;
    if (pauses.has(pause)) return;
    pauses.add(pause);
    this.#registry.add('dbackup_retries_total', { backup_job: job });
  }

  #finished(result: RunResult): void {
    const { runId, job, state, openedAt, finishedAt, rawBytes, artifacts, destinations } = result;
    this.know(job);
    this.#pauses.delete(runId);
    const ended = finishedAt.getTime();
    const durationMs = ended - openedAt.getTime();
    this.#registry.add('dbackup_runs_total', { backup_job: job, state });
    this.#registry.observe('dbackup_run_duration_seconds', { backup_job: job }, durationMs / 1000);
    if (state === 'succeeded' || state === 'partial') {
      this.#registry.observe('dbackup_run_raw_bytes', { backup_job: job }, rawBytes);
    }
    this.#remember(job, state === 'succeeded', ended, durationMs, rawBytes);
    if (state === 'succeeded') {
      this.#registry.set('dbackup_job_last_success_timestamp_seconds', { backup_job: job }, ended / 1000);
    }
    const failed = artifacts.filter(({ error }) => error !== undefined).length;
    this.#registry.add('dbackup_databases_failed_total', { backup_job: job }, failed);
    for (const outcome of destinations) this.#stored(job, outcome);
  }

  #stored(job: string, { node, set, error, attempts = 1 }: DestinationOutcome): void {
    const labels = { backup_job: job, destination: this.#destinationName(node) };
    const files = set?.manifest.artifacts.filter(isStored) ?? [];
    const raw = files.reduce((sum, artifact) => sum + artifact.raw.bytes, 0);
    const stored = files.reduce((sum, artifact) => sum + artifact.stored.bytes, 0);
    this.#registry.add('dbackup_destination_attempts_total', labels, attempts);
    this.#registry.add('dbackup_destination_failures_total', labels, error === undefined ? 0 : 1);
    this.#registry.add('dbackup_destination_raw_bytes_total', labels, raw);
    this.#registry.add('dbackup_destination_stored_bytes_total', labels, stored);
  }

  #remember(job: string, succeeded: boolean, endedMs: number, durationMs: number, rawBytes: number): void {
    this.#remembered.add(job);
    this.#registry.set('dbackup_job_last_run_timestamp_seconds', { backup_job: job }, endedMs / 1000);
    this.#registry.set('dbackup_job_last_run_succeeded', { backup_job: job }, succeeded ? 1 : 0);
    this.#registry.set('dbackup_job_last_run_duration_seconds', { backup_job: job }, durationMs / 1000);
    this.#registry.set('dbackup_job_last_run_raw_bytes', { backup_job: job }, rawBytes);
  }
}
