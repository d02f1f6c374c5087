import { chmodSync, mkdirSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { Kysely } from 'kysely';
import { pause } from '../backoff.ts';
import type { Clock } from '../clock.ts';
import type { DeadInstance, Liveness, StoreBackend } from './backend.ts';
import { StoreDialect } from './dialect.ts';
import { migrateSqlite } from './migrate-sqlite.ts';
import type { Migrations } from './migrations.ts';
import { emptyLists } from './plugins.ts';
import { announcePresence, isPresent, type Presence, sweepPresence } from './presence.ts';
import type { StoreSchema } from './schema.ts';

/** The store's file inside the data directory. */
export const STORE_FILE = 'dbackup.db';

/** The store's file in a data directory. */
export function sqliteFile(dataDir: string): string {
  return join(dataDir, STORE_FILE);
}

/** How long one process waits for another's write, in ms. Writes here take a few milliseconds. */
const BUSY_MS = 10_000;
const PROBE_PAUSE_MS = 100;
const NEVER = new AbortController().signal;
/** Locks tell at once who is dead: it is looked at so often, in ms. */
const BEAT_MS = 60_000;

/** Opens the database in a data directory, making both when they are not there. @throws errors of SQLite */
export async function openSqlite(
  dataDir: string,
  migrations: Migrations,
  clock: Clock,
  tell: (level: 'info' | 'warn', message: string) => void,
): Promise<StoreBackend> {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const sqlite = openDatabase(sqliteFile(dataDir));
  const db = new Kysely<StoreSchema>({ dialect: new StoreDialect(sqlite), plugins: [emptyLists] });
  try {
    await migrateSqlite(sqlite, db, migrations, tell);
  } catch (thrown) {
    sqlite.close();
    throw thrown;
  }
  return {
    db,
    name: sqlite.name,
    liveness: new LockedPresence(db, dataDir, clock),
    probe: (instance) => probe(sqlite, instance, clock),
    close: async () => void sqlite.close(),
  };
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

/**
 * Waits for its turn as long as a record would, but not in SQLite, which would hold the whole process up meanwhile.
 */
async function probe(sqlite: Database.Database, instance: string, clock: Clock): Promise<void> {
  for (let waited = 0; ; waited += PROBE_PAUSE_MS) {
    try {
      touch(sqlite, instance);
      return;
    } catch (thrown) {
      if (!isBusy(thrown) || waited >= BUSY_MS) throw thrown;
    }
    await pause(PROBE_PAUSE_MS, NEVER, clock);
  }
}

function touch(sqlite: Database.Database, instance: string): void {
  sqlite.pragma('busy_timeout = 0');
  try {
    sqlite.prepare('UPDATE instances SET pid = ? WHERE id = ?').run(process.pid, instance);
  } finally {
    sqlite.pragma(`busy_timeout = ${BUSY_MS}`);
  }
}

function isBusy(thrown: unknown): boolean {
  return thrown instanceof Database.SqliteError && thrown.code.startsWith('SQLITE_BUSY');
}

/** Each instance holds the lock of a file: the operating system frees it when the process dies. */
class LockedPresence implements Liveness {
  readonly beatMs = BEAT_MS;
  readonly beatsBeforeRecovery = 1;
  readonly #db: Kysely<StoreSchema>;
  readonly #dataDir: string;
  readonly #clock: Clock;
  readonly #held = new Map<string, Presence>();

  constructor(db: Kysely<StoreSchema>, dataDir: string, clock: Clock) {
    this.#db = db;
    this.#dataDir = dataDir;
    this.#clock = clock;
  }

  async join(instance: string): Promise<void> {
    this.#held.set(instance, announcePresence(this.#dataDir, instance));
    const now = new Date(this.#clock.now()).toISOString();
    const row = { id: instance, host: hostname(), pid: process.pid, started_at: now, heartbeat_at: now };
    await this.#db.insertInto('instances').values(row).execute();
  }

  /** The lock speaks for itself: a write every few seconds would only keep disks awake. */
  async beat(instance: string): Promise<boolean> {
    const row = await this.#db
      .selectFrom('instances')
      .select('id')
      .where('id', '=', instance)
      .where('ended_at', 'is', null)
      .executeTakeFirst();
    return row !== undefined;
  }

  async findDead(self: string): Promise<DeadInstance[]> {
    const others = await this.#db
      .selectFrom('instances')
      .select(['id', 'host', 'pid'])
      .where('ended_at', 'is', null)
      .where('id', '!=', self)
      .execute();
    const living = new Set([self]);
    for (const { id } of others) if (isPresent(this.#dataDir, id)) living.add(id);
    sweepPresence(this.#dataDir, living);
    return others.filter(({ id }) => !living.has(id));
  }

  async bury(db: Kysely<StoreSchema>, instance: string): Promise<boolean> {
    const { numUpdatedRows } = await db
      .updateTable('instances')
      .set({ ended_at: new Date(this.#clock.now()).toISOString() })
      .where('id', '=', instance)
      .where('ended_at', 'is', null)
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  }

  leave(instance: string): void {
    this.#held.get(instance)?.leave();
    this.#held.delete(instance);
  }
}
