import type { EventEmitter } from 'node:events';
import { newRunId } from '../backupset/names.ts';
import type { Clock } from '../clock.ts';
import { leftOutText } from './dead-letter-text.ts';
import type { JobMemory, JobQuery, JobRecord } from './job-memory.ts';
import type { JobChange, JobFailure, JobStanding, SkippedRun } from './jobs.ts';
import type { RunJournal } from './journal.ts';
import type { EngineEvents, RunResult } from './outcome.ts';

/** What of a history of errors is told. */
const ERRORS_TOLD = 20;

export interface JobBookParts {
  readonly clock: Clock;
  /** Failures in a row after which a job runs no more by itself; 0: never. */
  readonly deadLetterAfter: number;
  store(): Promise<{
    readonly jobs: JobMemory;
    skipped(run: Omit<SkippedRun, 'nodes'>): Promise<void>;
  }>;
  /** A job has become a dead letter, at the end of this run: once, of all processes that share the store. */
  deadLettered(change: JobChange): void;
}

interface FollowedEngine {
  readonly events: EventEmitter<EngineEvents>;
  isActive(runId: string): boolean;
}

/** Follows how the jobs of one Node-RED do, and says which may run by themselves. */
export class JobBook {
  readonly #parts: JobBookParts;
  /** Dead letters, as far as this process has heard of them. */
  readonly #dead = new Map<string, JobStanding>();
  #engine: FollowedEngine | undefined;
  readonly #watchers = new Set<() => void>();
  /** Told when the end of the run is, by its id. */
  readonly #pending = new Map<string, JobChange>();

  constructor(parts: JobBookParts) {
    this.#parts = parts;
  }

  /** The journal that the engine writes: runs that have ended are counted before that is told. */
  journal(inner: RunJournal): RunJournal {
    return {
      opened: (run) => inner.opened(run),
      state: (runId, state) => inner.state(runId, state),
      finished: async (result) => {
        await inner.finished(result);
        await this.#ended(result);
      },
    };
  }

  /** Tells changes by the events of the engine from now on. */
  follow(engine: FollowedEngine): void {
    this.#engine = engine;
    engine.events.on('finished', ({ runId }) => {
      const change = this.#pending.get(runId);
      this.#pending.delete(runId);
      // Whoever hears of the end of the run has done so by then.
      if (change !== undefined) queueMicrotask(() => this.#emit(change));
    });
  }

  /** Dead letters, as far as this process knows: others may have put some back. */
  get deadLetters(): ReadonlyMap<string, JobStanding> {
    return this.#dead;
  }

  /** Calls when `deadLetters` has changed. */
  watch(watcher: () => void): void {
    this.#watchers.add(watcher);
  }

  unwatch(watcher: () => void): void {
    this.#watchers.delete(watcher);
  }

  /** Why a run of the job must not begin that nobody has asked for; undefined when it may. */
  async whyLeftOut(job: string): Promise<string | undefined> {
    // Who has switched dead letters off wants none to stay behind.
    if (this.#parts.deadLetterAfter === 0) return undefined;
    const { jobs } = await this.#parts.store();
    const standing = await jobs.find(job);
    this.#learn(job, standing);
    if (standing?.state !== 'dead-lettered') return undefined;
    const { since, failures } = standing;
    return leftOutText({ job, since, failures, errors: await errorsOf(jobs, job, { failures: 1 }) });
  }

  /** Records that a run was due and not begun, and tells it. */
  async skip(run: Pick<SkippedRun, 'job' | 'reason' | 'message' | 'nodes'>): Promise<void> {
    const at = new Date(this.#parts.clock.now());
    const skipped: SkippedRun = { ...run, runId: newRunId(at), at };
    await (await this.#parts.store()).skipped(skipped);
    this.#engine?.events.emit('runSkipped', skipped);
  }

  async list(query?: JobQuery): Promise<JobRecord[]> {
    return (await this.#parts.store()).jobs.list(query);
  }

  /**
   * Puts a job back: it is healthy, with no failures, and runs by itself again.
   * @throws BackupError `not-found`
   */
  async requeue(job: string): Promise<void> {
    const at = new Date(this.#parts.clock.now());
    const { jobs } = await this.#parts.store();
    const { before, after } = await jobs.requeue(job, at);
    this.#putBack(job, before, after, 'requeued', at);
  }

  /**
   * Forgets a job until it runs again, and leaves its runs in the history.
   * @throws BackupError `not-found`
   */
  async discard(job: string): Promise<void> {
    const at = new Date(this.#parts.clock.now());
    const before = await (await this.#parts.store()).jobs.discard(job);
    this.#putBack(job, before, undefined, 'discarded', at);
  }

  /** Learns which jobs are dead letters: of those that became so earlier, or elsewhere. */
  async refresh(): Promise<void> {
    const standings = await (await this.#parts.store()).jobs.standings();
    for (const job of [...this.#dead.keys(), ...standings.keys()]) this.#learn(job, standings.get(job));
  }

  async #ended(result: RunResult): Promise<void> {
    const { clock, deadLetterAfter, deadLettered, store } = this.#parts;
    const { runId, job, state } = result;
    const at = new Date(clock.now());
    const { jobs } = await store();
    const { before, after } = await jobs.record({ job, occurrence: state, at, deadLetterAfter });
    this.#learn(job, after);
    if (before.state === after.state) return;
    const change: JobChange = {
      job,
      from: before.state,
      to: after.state,
      cause: after.state === 'healthy' ? 'succeeded' : 'failed',
      failures: Math.max(before.failures, after.failures),
      at,
      runId,
      // What cannot be read must not keep the change from being told.
      errors: after.state === 'dead-lettered' ? await errorsOf(jobs, job, after).catch(() => []) : [],
    };
    if (after.state === 'dead-lettered') deadLettered(change);
    if (this.#engine?.isActive(runId)) this.#pending.set(runId, change);
    // The history was so slow that the end was told without it.
    else this.#emit(change);
  }

  #putBack(
    job: string,
    { state: from, failures }: JobStanding,
    after: JobStanding | undefined,
    cause: JobChange['cause'],
    at: Date,
  ): void {
    this.#learn(job, after);
    if (from !== 'healthy') this.#emit({ job, from, to: 'healthy', cause, failures, at, errors: [] });
  }

  #learn(job: string, standing: JobStanding | undefined): void {
    const wasDead = this.#dead.has(job);
    const isDead = standing?.state === 'dead-lettered';
    if (isDead) this.#dead.set(job, standing);
    else this.#dead.delete(job);
    if (wasDead !== isDead) for (const watcher of this.#watchers) watcher();
  }

  #emit(change: JobChange): void {
    this.#engine?.events.emit('jobChanged', change);
  }
}

async function errorsOf(
  jobs: JobMemory,
  job: string,
  { failures }: Pick<JobStanding, 'failures'>,
): Promise<readonly JobFailure[]> {
  const [record] = await jobs.list({ job, errors: Math.min(failures, ERRORS_TOLD) });
  return record?.errors ?? [];
}
