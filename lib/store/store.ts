import { orTimeout } from '../abort.ts';
import type { RunFate } from '../backupset/orphans.ts';
import { type Clock, systemClock } from '../clock.ts';
import { BackupError } from '../errors.ts';
import type { LogLine } from '../logs/log-line.ts';
import type { NotificationMemory } from '../notifiers/memory.ts';
import type { JobMemory } from '../runs/job-memory.ts';
import type { SkippedRun } from '../runs/jobs.ts';
import type { HandOver, ScheduleMemory } from '../schedule/scheduler.ts';
import { queryActiveRuns, type RecordedActiveRun } from './active-runs.ts';
import type { StoreBackend } from './backend.ts';
import { type Cancellations, createCancellations } from './cancellations.ts';
import { queryFates } from './fates.ts';
import { StoreGuard } from './guard.ts';
import { handOverFire } from './hand-over.ts';
import { queryRuns, type RunQuery, type RunRecord } from './history.ts';
import { Housekeeping } from './housekeeping.ts';
import { endInstance, type InterruptedRun } from './interrupted.ts';
import { createJobMemory } from './jobs.ts';
import { RunRecords, type StoreJournal } from './journal.ts';
import { type LastRun, queryLastRuns } from './last-runs.ts';
import { type LogQuery, queryLog, type RunLogPage, writeLines } from './logs.ts';
import { MIGRATIONS, type Migrations } from './migrations.ts';
import { createNotificationMemory } from './notifications.ts';
import { describePlace, type StorePlace } from './place.ts';
import { openPostgres } from './postgres.ts';
import { type PriorRun, queryPriorRun } from './prior-runs.ts';
import { type HistoryLimits, pruneHistory } from './prune.ts';
import { queryRunDetails, type RunDetails } from './run-details.ts';
import { createScheduleMemory } from './schedules.ts';
import { recordSkippedRun } from './skipped-runs.ts';
import type { SqlConnection } from './sql-connection.ts';
import { openSqlite, sqliteFile } from './sqlite.ts';
import { storeError } from './store-error.ts';
import { createVerifications, type Verifications } from './verifications.ts';

export { STORE_FILE } from './sqlite.ts';

const LEASE_MS = 60_000;
/** How long a server may take to note the end of this process, in ms. */
const CLOSE_MS = 5_000;

/** History of this installation. It is a record, not the backups: losing it loses none of them. */
export interface Store {
  readonly journal: StoreJournal;
  /** Runs that were found unfinished by a dead process when the store was opened, now marked failed. */
  readonly interrupted: readonly string[];
  runs(query?: RunQuery): Promise<RunRecord[]>;
  /** All that is known of a run but its log; undefined when the history does not know it. */
  run(id: string): Promise<RunDetails | undefined>;
  /** How each job's last run ended, and when it last succeeded. */
  lastRuns(): Promise<LastRun[]>;
  /** How the job's runs before that one ended. */
  priorRun(job: string, runId: string, finishedAt: Date): Promise<PriorRun>;
  /** Keeps lines of logs of runs that the history knows. @throws BackupError when they cannot be kept */
  writeLog(lines: readonly LogLine[]): Promise<void>;
  /** Lines of a run's log; undefined when the history does not know the run. */
  log(run: string, query?: LogQuery): Promise<RunLogPage | undefined>;
  /** Writes something that changes nothing. @throws BackupError when nothing can be recorded at the moment */
  probe(): Promise<void>;
  /** What is remembered of the schedule with this node id. */
  schedule(node: string): ScheduleMemory;
  /** What is remembered of the notifier with this node id. */
  notifications(node: string): NotificationMemory;
  /** Deals with a fire of the schedule with this node id, and hands it over in the same transaction. */
  handOver(
    node: string,
    at: number,
    offer: (connection: SqlConnection) => Promise<boolean>,
  ): Promise<HandOver>;
  /** Whether runs may still be writing, or ended without their set; others are left out. */
  fates(runIds: readonly string[]): Promise<ReadonlyMap<string, RunFate>>;
  /** How jobs stand. */
  readonly jobs: JobMemory;
  readonly verifications: Verifications;
  /** Resolves when it is recorded that a run was due and not begun. */
  skipped(run: Omit<SkippedRun, 'nodes'>): Promise<void>;
  /** Runs of all processes that have not ended. */
  activeRuns(): Promise<RecordedActiveRun[]>;
  readonly cancellations: Cancellations;
  /** Notes the end of this process. Closed it is in any case. @throws BackupError when that cannot be noted */
  close(): Promise<void>;
}

export interface StoreOptions {
  readonly clock?: Clock;
  readonly migrations?: Migrations;
  /** In PostgreSQL: how long this process may be silent before others take it for dead, in ms; a minute without it. */
  readonly leaseMs?: number;
  /** What is kept of the history; all without it. The rest is removed, at the opening and each day. */
  readonly keep?: HistoryLimits;
  /** Is told of runs whose process died, before this one opened the store or since. They are marked failed. */
  interrupted?(runs: readonly InterruptedRun[]): void;
  /** Is told what happens beside: that the store cannot be reached, that something was mended. */
  tell?(level: 'info' | 'warn', message: string): void;
}

/**
 * Opens a store, making it when it is not there. Several processes may have it open at once.
 * @param place a data directory stands for SQLite in it
 * @throws BackupError `permission` when it cannot be written, `corrupt` when it is damaged, `no-space`,
 *   `unavailable` when its server cannot be reached, `invalid-config` when a newer DBackup has written it
 */
export async function openStore(place: StorePlace | string, options: StoreOptions = {}): Promise<Store> {
  const where: StorePlace = typeof place === 'string' ? { kind: 'sqlite', dataDir: place } : place;
  let backend: StoreBackend | undefined;
  try {
    backend = await openBackend(where, options);
    return await begin(backend, options);
  } catch (thrown) {
    await backend?.close();
    throw storeError(thrown, where.kind === 'sqlite' ? sqliteFile(where.dataDir) : describePlace(where));
  }
}

function openBackend(
  place: StorePlace,
  { migrations = MIGRATIONS, clock = systemClock, leaseMs = LEASE_MS, tell = ignore }: StoreOptions,
): Promise<StoreBackend> {
  if (place.kind === 'sqlite') return openSqlite(place.dataDir, migrations, clock, tell);
  return openPostgres(place, migrations, leaseMs);
}

async function begin(
  backend: StoreBackend,
  { clock = systemClock, interrupted = ignore, tell = ignore, keep }: StoreOptions,
): Promise<Store> {
  const guard = new StoreGuard(backend.name, clock);
  const housekeeping = new Housekeeping({
    backend,
    clock,
    takeBack: () => journal.takeBack(),
    prune: (signal) => prune(backend, keep, guard.now(), signal),
    interrupted,
    tell,
  });
  const journal = new RunRecords(backend.db, guard, () => housekeeping.instance);
  try {
    const found = await housekeeping.begin();
    if (found.length > 0) interrupted(found);
    return createStore({ backend, guard, housekeeping, journal }, found);
  } catch (thrown) {
    backend.liveness.leave(housekeeping.instance);
    throw thrown;
  }
}

interface StoreParts {
  readonly backend: StoreBackend;
  readonly guard: StoreGuard;
  readonly housekeeping: Housekeeping;
  readonly journal: StoreJournal;
}

function createStore(parts: StoreParts, interrupted: readonly InterruptedRun[]): Store {
  const { guard, housekeeping, journal } = parts;
  const { db, name, probe } = parts.backend;
  let closing: Promise<void> | undefined;
  return {
    journal,
    interrupted: interrupted.map(({ id }) => id),
    runs: (query = {}) => guard.once(() => queryRuns(db, query)),
    run: (id) => guard.once(() => queryRunDetails(db, id)),
    lastRuns: () => guard.once(() => queryLastRuns(db)),
    priorRun: (job, runId, at) => guard.once(() => queryPriorRun(db, job, runId, at)),
    probe: () => guard.once(() => probe(housekeeping.instance)),
    schedule: (node) => createScheduleMemory(db, name, node),
    notifications: (node) => createNotificationMemory(db, name, node),
    handOver: (node, at, offer) => guard.once(() => handOverFire(db, node, at, offer)),
    fates: (runIds) => guard.once(() => queryFates(db, runIds)),
    jobs: createJobMemory(db, name),
    verifications: createVerifications(db, name),
    skipped: (run) => recordSkippedRun(db, name, housekeeping.instance, run),
    writeLog: (lines) => writeLines(db, name, lines),
    log: (run, query = {}) => guard.once(() => queryLog(db, run, query)),
    activeRuns: () => guard.once(() => queryActiveRuns(db)),
    cancellations: createCancellations(db, name),
    close() {
      closing ??= close(parts);
      return closing;
    },
  };
}

async function close({ backend, guard, housekeeping }: StoreParts): Promise<void> {
  guard.close();
  await housekeeping.end();
  try {
    const cause = 'DBackup was stopped before the run ended';
    const ending = endInstance(backend.db, housekeeping.instance, cause, guard.now());
    await guard.once(() => orTimeout(ending, CLOSE_MS, () => silence(backend.name)));
  } finally {
    backend.liveness.leave(housekeeping.instance);
    await backend.close();
  }
}

async function prune(
  { db }: StoreBackend,
  keep: HistoryLimits | undefined,
  now: Date,
  signal: AbortSignal,
): Promise<void> {
  if (keep !== undefined) await pruneHistory(db, keep, now, signal);
}

function silence(store: string): BackupError {
  const text = `The store ${store} does not answer: it could not be noted that this process ends`;
  return new BackupError('stalled', text, { transient: true });
}

function ignore(): void {}
