import { join } from 'node:path';
import type { Clock } from '../../lib/clock.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { BackupEngine } from '../../lib/engine/backup-engine.ts';
import { policyOf } from '../../lib/retention/options.ts';
import { prune } from '../../lib/retention/prune.ts';
import { JobBook } from '../../lib/runs/job-book.ts';
import type { RunResult } from '../../lib/runs/outcome.ts';
import { DueFires } from '../../lib/schedule/due-fires.ts';
import { type Fire, Scheduler } from '../../lib/schedule/scheduler.ts';
import { Timetable } from '../../lib/schedule/timetable.ts';
import { openStore, type Store } from '../../lib/store/store.ts';
import { planRun } from './engine-run.ts';
import { FakeClock } from './fake-clock.ts';
import { FaultyDestination } from './faulty-destination.ts';
import { ScriptedSource } from './scripted-source.ts';

export const HOUR_MS = 3_600_000;
export const DAY_MS = 24 * HOUR_MS;
const never = new AbortController().signal;

/** What a job's run does this time. */
export type Fortune = 'well' | 'source fails' | 'destination fails' | { readonly lastsMs: number };

export interface YearJob {
  readonly name: string;
  readonly cron: string;
  readonly zone: string;
  /** @param day since the beginning */
  fortune(day: number): Fortune;
}

export interface YearLimits {
  readonly deadLetterAfter: number;
  readonly keep: { readonly days: number; readonly runs: number };
}

/** What has become of the planned times of a job. */
export interface Tally {
  /** Fires that began a run. */
  started: number;
  /** Planned times that a later fire stood for. */
  missed: number;
  skipped: number;
  /** Left out, since the job was dead-lettered. */
  leftOut: number;
  /** Too old to be made up for. */
  dropped: number;
  readonly ended: Record<RunResult['state'], number>;
  deadLettered: number;
}

/** Five jobs and what they need, by a clock that a test drives: processes come and go, the store and the storage stay. */
export class Year {
  readonly clock: FakeClock;
  readonly tallies = new Map<string, Tally>();
  /** What should never be. */
  readonly faults: string[] = [];
  readonly root: string;
  readonly #start: number;
  readonly #data: string;
  readonly #jobs: readonly YearJob[];
  readonly #limits: YearLimits;
  readonly #active = new Map<string, string>();
  #process: Process | undefined;

  constructor(folder: string, start: string, jobs: readonly YearJob[], limits: YearLimits) {
    this.clock = new FakeClock(start);
    this.#start = this.clock.now();
    this.root = join(folder, 'storage');
    this.#data = join(folder, 'data');
    this.#jobs = jobs;
    this.#limits = limits;
    for (const { name } of jobs) {
      const ended = { succeeded: 0, partial: 0, failed: 0, cancelled: 0 };
      const counts = { started: 0, missed: 0, skipped: 0, leftOut: 0, dropped: 0, deadLettered: 0 };
      this.tallies.set(name, { ...counts, ended });
    }
  }

  get day(): number {
    return Math.floor((this.clock.now() - this.#start) / DAY_MS);
  }

  /** How often the job should have fired so far. */
  planned(name: string): number {
    const job = this.#jobs.find((each) => each.name === name);
    if (job === undefined) throw new Error(`There is no job ${name}`);
    return new Timetable(job.cron, job.zone).count(this.#start, this.clock.now(), Number.MAX_SAFE_INTEGER);
  }

  async begin(): Promise<void> {
    this.#process = await Process.begin(this, this.#data, this.#jobs, this.#limits);
  }

  async end(): Promise<void> {
    await this.#process?.end();
    this.#process = undefined;
    this.#active.clear();
  }

  /** Lets time pass, an hour at a time, and waits in between for what really happens. */
  async pass(ms: number): Promise<void> {
    const end = this.clock.now() + ms;
    while (this.clock.now() < end) {
      await this.clock.pass(Math.min(HOUR_MS, end - this.clock.now()));
      await this.#process?.quiet();
    }
  }

  async requeue(job: string): Promise<void> {
    await this.#process?.book.requeue(job);
  }

  get store(): Store {
    if (this.#process === undefined) throw new Error('No process is there');
    return this.#process.store;
  }

  tally(name: string): Tally {
    const found = this.tallies.get(name);
    if (found === undefined) throw new Error(`There is no job ${name}`);
    return found;
  }

  entered(job: string, runId: string): void {
    const other = this.#active.get(job);
    if (other !== undefined) this.faults.push(`${this.clock.text}: ${runId} of ${job} overlaps ${other}`);
    this.#active.set(job, runId);
  }

  left(job: string): void {
    this.#active.delete(job);
  }
}

/** One process: its schedules, its engine, its view of the store. */
class Process {
  readonly store: Store;
  readonly book: JobBook;
  readonly #year: Year;
  readonly #engine: BackupEngine;
  readonly #schedulers: Scheduler[] = [];
  readonly #busy = new Set<string>();
  /** Runs that wait for the clock. */
  #asleep = 0;
  #working = 0;

  static async begin(
    year: Year,
    data: string,
    jobs: readonly YearJob[],
    limits: YearLimits,
  ): Promise<Process> {
    const store = await openStore(data, { clock: hourly(year.clock), keep: limits.keep });
    return new Process(year, store, jobs, limits);
  }

  private constructor(year: Year, store: Store, jobs: readonly YearJob[], limits: YearLimits) {
    this.#year = year;
    this.store = store;
    this.book = new JobBook({
      clock: year.clock,
      deadLetterAfter: limits.deadLetterAfter,
      store: async () => store,
      deadLettered: ({ job }) => {
        year.tally(job).deadLettered += 1;
      },
    });
    this.#engine = new BackupEngine({
      host: 'year',
      clock: year.clock,
      journal: this.book.journal(store.journal),
      retries: { destinationAttempts: 1, databaseAttempts: 1 },
    });
    this.book.follow(this.#engine);
    this.#engine.events.on('finished', ({ job, state }) => {
      year.tally(job).ended[state] += 1;
    });
    for (const job of jobs) this.#schedule(job);
  }

  /** Resolves when all that goes on waits for the clock. */
  async quiet(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#working > this.#asleep) await new Promise((resolve) => setTimeout(resolve, 1));
  }

  async end(): Promise<void> {
    for (const scheduler of this.#schedulers) scheduler.stop();
    await this.#engine.shutdown('the process ends');
    await this.store.close();
  }

  #schedule(job: YearJob): void {
    const { name, cron, zone } = job;
    const tally = this.#year.tally(name);
    const { clock } = this.#year;
    const policy = { catchUpMs: DAY_MS, overlap: 'skip' } as const;
    const scheduler = new Scheduler(new DueFires(name, new Timetable(cron, zone), 60_000), policy, {
      clock,
      memory: this.store.schedule(name),
      longestSleepMs: 12 * HOUR_MS,
      host: {
        start: (fire) => this.#fire(job, fire),
        isBusy: () => this.#busy.has(name),
        show: () => undefined,
        skipped: () => {
          tally.skipped += 1;
          void this.#work(() =>
            this.book.skip({ job: name, reason: 'overlap', message: 'it still runs', nodes: [] }),
          );
        },
        dropped: (_at, count) => {
          tally.dropped += count;
        },
        clockWentBack: () => this.#year.faults.push(`${clock.text}: the clock of ${name} went back`),
        failed: (error) => this.#year.faults.push(`${clock.text}: ${error.message}`),
      },
    });
    this.#schedulers.push(scheduler);
    scheduler.wake();
  }

  #fire(job: YearJob, { missed }: Fire): void {
    const { name } = job;
    const tally = this.#year.tally(name);
    tally.missed += missed;
    this.#busy.add(name);
    void this.#work(async () => {
      try {
        const reason = await this.book.whyLeftOut(name);
        if (reason === undefined) await this.#run(job);
        else {
          tally.leftOut += 1;
          await this.book.skip({ job: name, reason: 'dead-lettered', message: reason, nodes: [] });
        }
      } finally {
        this.#busy.delete(name);
      }
    });
  }

  async #run(job: YearJob): Promise<void> {
    const { name } = job;
    const year = this.#year;
    const fortune = job.fortune(year.day);
    year.tally(name).started += 1;
    const source = new ScriptedSource({
      name: 'data',
      bytes: 2_000,
      ...(fortune === 'source fails' ? { diesAfter: 500 } : {}),
    });
    if (typeof fortune === 'object') source.onDump = () => this.#sleep(fortune.lastsMs);
    const local = createLocalDestination({ root: year.root, create: true });
    const driver =
      fortune === 'destination fails'
        ? new FaultyDestination(local, { file: 'manifest.json', kind: 'commit-error' })
        : local;
    const { run, joins } = planRun(this.#engine, [source], [{ to: driver, name: 'disk' }], { job: name });
    year.entered(name, run.id);
    const ended = this.#ended(run.id);
    run.seal();
    const [outcome] = await Promise.allSettled(joins);
    await ended;
    year.left(name);
    if (outcome?.status === 'fulfilled') await this.#prune(name, outcome.value.reference.path);
  }

  #ended(runId: string): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const look = (result: RunResult) => {
      if (result.runId !== runId) return;
      this.#engine.events.off('finished', look);
      resolve();
    };
    this.#engine.events.on('finished', look);
    return promise;
  }

  async #prune(job: string, newest: string): Promise<void> {
    const { clock, root, faults } = this.#year;
    const policy = policyOf({ keepLast: 2, keepDaily: 3, keepWeekly: 2, keepMonthly: 6, zone: 'UTC' });
    const report = await prune({
      driver: createLocalDestination({ root }),
      prefix: 'sets',
      job,
      policy,
      remove: true,
      clock,
      signal: never,
    });
    const kept = report.sets.filter((set) => set.kept);
    if (report.error !== undefined) faults.push(`${clock.text}: ${job}: ${report.error.message}`);
    if (!kept.some(({ path }) => path.endsWith(newest))) faults.push(`${clock.text}: ${newest} was removed`);
    if (kept.length > 2 + 3 + 2 + 6) faults.push(`${clock.text}: ${job} keeps ${kept.length} sets`);
  }

  #sleep(ms: number): Promise<void> {
    this.#asleep += 1;
    return new Promise((resolve) => {
      this.#year.clock.setTimer(() => {
        this.#asleep -= 1;
        resolve();
      }, ms);
    });
  }

  async #work(work: () => Promise<void>): Promise<void> {
    this.#working += 1;
    try {
      await work();
    } catch (error) {
      this.#year.faults.push(`${this.#year.clock.text}: ${error}`);
    } finally {
      this.#working -= 1;
    }
  }
}

/** What looks every few seconds whether others live has nothing to see here. */
function hourly(clock: FakeClock): Clock {
  return { now: () => clock.now(), setTimer: (call, ms) => clock.setTimer(call, Math.max(ms, 6 * HOUR_MS)) };
}
