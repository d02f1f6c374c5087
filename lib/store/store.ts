import { randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import type { RunFate } from '../backupset/orphans.ts';
import type { JobMemory } from '../runs/job-memory.ts';
import type { SkippedRun } from '../runs/jobs.ts';
import type { RunJournal } from '../runs/journal.ts';
import type { ScheduleMemory } from '../schedule/scheduler.ts';
import { StoreDialect } from './dialect.ts';
import { queryFates } from './fates.ts';
import { queryRuns, type RunQuery, type RunRecord } from './history.ts';
import { endInstance, failInterruptedRuns } from './interrupted.ts';
import { createJobMemory } from './jobs.ts';
import { createRunJournal } from './journal.ts';
import { type LastRun, queryLastRuns } from './last-runs.ts';
import { migrate } from './migrate.ts';
import { MIGRATIONS } from './migrations.ts';
import { announcePresence, type Presence } from './presence.ts';
import { createScheduleMemory } from './schedules.ts';
import type { StoreSchema } from './schema.ts';
import { recordSkippedRun } from './skipped-runs.ts';
import { storeError } from './store-error.ts';

/** The store's file inside the data directory. */
export const STORE_FILE = 'dbackup.db';

/** How long one process waits for another's write, in ms. Writes here take a few milliseconds. */
const BUSY_MS = 10_000;

/** History of this installation. It is a record, not the backups: losing it loses none of them. */
export interface Store {
  readonly journal: RunJournal;
  /** Runs that were found unfinished by a dead process when the store was opened, now marked failed. */
  readonly interrupted: readonly string[];
  runs(query?: RunQuery): Promise<RunRecord[]>;
  /** How each job's last run ended, and when it last succeeded. */
  lastRuns(): Promise<LastRun[]>;
  /** Writes something that changes nothing. @throws BackupError when nothing can be recorded at the moment */
  probe(): Promise<void>;
  /** What is remembered of the schedule with this node id. */
  schedule(node: string): ScheduleMemory;
  /** Whether runs may still be writing, or ended without their set; others are left out. */
  fates(runIds: readonly string[]): Promise<ReadonlyMap<string, RunFate>>;
  /** How jobs stand. */
  readonly jobs: JobMemory;
  /** Resolves when it is recorded that a run was due and not begun. */
  skipped(run: Omit<SkippedRun, 'nodes'>): Promise<void>;
  /** Notes the end of this process. Closed it is in any case. @throws BackupError when that cannot be noted */
  close(): Promise<void>;
}

/**
 * Opens the store in a data directory, making both when they are not there. Several processes may have it
 * open at once.
 * @throws BackupError `permission` when it cannot be written, `corrupt` when it is damaged,
 *   `invalid-config` when a newer DBackup has written it
 */
export async function openStore(
  dataDir: string,
  migrations: Readonly<Record<string, Migration>> = MIGRATIONS,
): Promise<Store> {
  const file = join(dataDir, STORE_FILE);
  try {
    return await openAt(dataDir, file, migrations);
  } catch (thrown) {
    throw storeError(thrown, file);
  }
}

async function openAt(
  dataDir: string,
  file: string,
  migrations: Readonly<Record<string, Migration>>,
): Promise<Store> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const sqlite = openDatabase(file);
  const db = new Kysely<StoreSchema>({ dialect: new StoreDialect(sqlite) });
  let presence: Presence | undefined;
  try {
    await migrate(sqlite, db, migrations);
    const instance = randomUUID();
    presence = announcePresence(dataDir, instance);
    await registerInstance(db, instance);
    const interrupted = await failInterruptedRuns(db, dataDir, instance);
    return createStore(db, sqlite, instance, presence, interrupted);
  } catch (thrown) {
    presence?.leave();
    sqlite.close();
    throw thrown;
  }
}

function openDatabase(file: string): Database.Database {
  const sqlite = new Database(file, { timeout: BUSY_MS });
  try {
    chmodSync(file, 0o600);
    sqlite.pragma('journal_mode = WAL');
    sqlite.pragma('synchronous = FULL');
    sqlite.pragma('foreign_keys = ON');
    return sqlite;
  } catch (thrown) {
    sqlite.close();
    throw thrown;
  }
}

async function registerInstance(db: Kysely<StoreSchema>, id: string): Promise<void> {
  await db
    .insertInto('instances')
    .values({ id, host: hostname(), pid: process.pid, started_at: new Date().toISOString() })
    .execute();
}

async function probeStore(db: Kysely<StoreSchema>, file: string, instance: string): Promise<void> {
  try {
    await db.updateTable('instances').set({ pid: process.pid }).where('id', '=', instance).execute();
  } catch (thrown) {
    throw storeError(thrown, file);
  }
}

function createStore(
  db: Kysely<StoreSchema>,
  sqlite: Database.Database,
  instance: string,
  presence: Presence,
  interrupted: readonly string[],
): Store {
  const journal = createRunJournal(db, sqlite.name, instance);
  let closing: Promise<void> | undefined;
  const close = async () => {
    try {
      await endInstance(db, instance, 'DBackup was stopped before the run ended');
    } catch (thrown) {
      throw storeError(thrown, sqlite.name);
    } finally {
      presence.leave();
      sqlite.close();
    }
  };
  return {
    journal,
    interrupted,
    runs: (query = {}) => queryRuns(db, query),
    lastRuns: () => queryLastRuns(db),
    probe: () => probeStore(db, sqlite.name, instance),
    schedule: (node) => createScheduleMemory(db, sqlite.name, node),
    fates: (runIds) => queryFates(db, runIds),
    jobs: createJobMemory(db, sqlite.name),
    skipped: (run) => recordSkippedRun(db, sqlite.name, instance, run),
    close() {
      closing ??= close();
      return closing;
    },
  };
}
