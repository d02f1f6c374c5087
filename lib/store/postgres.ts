import { hostname } from 'node:os';
import { Kysely, PostgresDialect, type RawBuilder, type SqlBool, sql } from 'kysely';
import type { Pool } from 'pg';
import type { DeadInstance, Liveness, StoreBackend } from './backend.ts';
import { migratePostgres } from './migrate-postgres.ts';
import type { Migrations } from './migrations.ts';
import { describePlace, type PostgresPlace } from './place.ts';
import { emptyLists, WithoutNulPlugin } from './plugins.ts';
import { openPool } from './postgres-pool.ts';
import type { StoreSchema } from './schema.ts';

/** All tables are in this schema of the database. */
export const STORE_SCHEMA = 'dbackup';

/** A connection that waits for an answer for so long is taken for broken, in ms. Answers take a few milliseconds. */
const SILENCE_MS = 60_000;
/** How often a process says in its lease that it lives. */
const BEATS = 6;

/**
 * Opens the store in a database of PostgreSQL, making its schema when it is not there.
 * @param leaseMs how long this process may be silent before it is taken for dead
 * @throws BackupError, errors of the library
 */
export async function openPostgres(
  place: PostgresPlace,
  migrations: Migrations,
  leaseMs: number,
): Promise<StoreBackend> {
  const name = describePlace(place);
  await migrate(place, migrations, name);
  const { pool, close } = await openPool({ ...place, silenceMs: SILENCE_MS });
  const db = kyselyOn(pool);
  return {
    db,
    name,
    liveness: new Heartbeat(db, leaseMs),
    async probe(instance) {
      await db.updateTable('instances').set({ pid: process.pid }).where('id', '=', instance).execute();
    },
    close,
  };
}

/** By a connection of its own, which may wait as long as another process migrates. */
async function migrate(place: PostgresPlace, migrations: Migrations, name: string): Promise<void> {
  const { pool, close } = await openPool({ ...place, silenceMs: 0, connections: 1 });
  try {
    await migratePostgres(kyselyOn(pool), STORE_SCHEMA, migrations, name);
  } finally {
    await close();
  }
}

function kyselyOn(pool: Pool): Kysely<StoreSchema> {
  const dialect = new PostgresDialect({ pool });
  const db = new Kysely<StoreSchema>({ dialect, plugins: [emptyLists, new WithoutNulPlugin()] });
  return db.withSchema(STORE_SCHEMA);
}

/** Now, by the server's clock, as times are kept in the tables. */
const NOW: RawBuilder<string> = sql`to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

/**
 * Who has been silent for longer than its lease is dead, unless nobody could speak, since the server was down. All by
 * the server's clock: those of hosts differ.
 */
const IS_DEAD: RawBuilder<SqlBool> = sql`greatest(heartbeat_at::timestamptz, pg_postmaster_start_time())
  < clock_timestamp() - lease_ms * interval '1 millisecond'`;

/** Each instance writes down again and again that it lives. */
class Heartbeat implements Liveness {
  readonly beatMs: number;
  /** When all were cut off from the server, the first that comes back must not bury the others. */
  readonly beatsBeforeRecovery = BEATS;
  readonly #db: Kysely<StoreSchema>;
  readonly #leaseMs: number;

  constructor(db: Kysely<StoreSchema>, leaseMs: number) {
    this.#db = db;
    this.#leaseMs = leaseMs;
    this.beatMs = Math.ceil(leaseMs / BEATS);
  }

  async join(instance: string): Promise<void> {
    const times = { started_at: NOW, heartbeat_at: NOW, lease_ms: this.#leaseMs };
    await this.#db
      .insertInto('instances')
      .values({ id: instance, host: hostname(), pid: process.pid, ...times })
      .execute();
  }

  async beat(instance: string): Promise<boolean> {
    const { numUpdatedRows } = await this.#db
      .updateTable('instances')
      .set({ heartbeat_at: NOW })
      .where('id', '=', instance)
      .where('ended_at', 'is', null)
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  }

  async findDead(self: string): Promise<DeadInstance[]> {
    return await this.#db
      .selectFrom('instances')
      .select(['id', 'host', 'pid'])
      .where('ended_at', 'is', null)
      .where('id', '!=', self)
      .where(IS_DEAD)
      .execute();
  }

  /** The row stays locked until the transaction ends: whoever lives after all waits, and learns that it was buried. */
  async bury(db: Kysely<StoreSchema>, instance: string): Promise<boolean> {
    const { numUpdatedRows } = await db
      .updateTable('instances')
      .set({ ended_at: NOW })
      .where('id', '=', instance)
      .where('ended_at', 'is', null)
      .where(IS_DEAD)
      .executeTakeFirst();
    return numUpdatedRows > 0n;
  }

  leave(): void {
    // The heart stops with the process, and its end is noted in the table.
  }
}
