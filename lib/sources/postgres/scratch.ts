import { BackupError } from '../../errors.ts';
import {
  failedAnswer,
  leftoverScratches,
  type ScratchAnswer,
  type ScratchDatabase,
  type ScratchFindings,
  type ScratchQuestions,
  scratchName,
} from '../scratch.ts';
import { reach } from '../server/reach.ts';
import type { ServerRestoreOptions } from '../server/restore-options.ts';
import { connectPostgres, describeServer, type PostgresSession } from './connect.ts';
import type { PostgresServer } from './options.ts';
import { createPostgresRestoreTarget } from './postgres-restore.ts';
import { beside, clearUp, inDatabase } from './restore-context.ts';
import { tablesOfExtensions } from './restore-proof.ts';
import { quoteIdentifier } from './restore-sql.ts';
import { databaseNames, dropDatabase, dropSubscriptions } from './restore-swap.ts';

/**
 * A database on a PostgreSQL server for a test restore.
 * @throws BackupError `invalid-config`
 */
export function createPostgresScratch(
  server: PostgresServer,
  options: Omit<ServerRestoreOptions, 'database'>,
): ScratchDatabase {
  const database = scratchName();
  return {
    place: `${database} on ${describeServer(server)}`,
    target: createPostgresRestoreTarget(server, { ...options, database }),
    examine: async (questions, signal) => {
      const session = await connectPostgres(server, database, signal);
      try {
        return await examine(session, questions);
      } finally {
        await session.close();
      }
    },
    drop: async () => {
      const problem = await clearUp(
        { server, options: { ...options, database } },
        async (session, way) => await dropAll(session, way, [database]),
      );
      if (problem === undefined) return;
      throw new BackupError('unavailable', `The database ${database} is left over, drop it: ${problem}`, {
        transient: true,
      });
    },
  };
}

/**
 * Drops the databases that killed test restores have left on a server, a day after they were made. A test restore that
 * still goes on is connected to its own.
 * @returns their names
 */
export async function sweepPostgresScratches(server: PostgresServer, signal: AbortSignal): Promise<string[]> {
  const reached = await reach(server, signal);
  try {
    const way = { reached, server, options: { database: '' } as ServerRestoreOptions };
    return await beside(way, async (session) => {
      const leftovers = leftoverScratches(await unusedDatabases(session));
      await dropAll(session, way, leftovers);
      return leftovers;
    });
  } finally {
    await reached.close();
  }
}

async function unusedDatabases(session: PostgresSession): Promise<string[]> {
  // Sessions of users: those of autovacuum have none.
  const rows = await session.query<{ name: string }>(
    `SELECT datname::text AS name FROM pg_database d
      WHERE NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid AND a.usesysid IS NOT NULL)`,
  );
  return rows.map(({ name }) => name);
}

type Way = Parameters<Parameters<typeof clearUp>[1]>[1];

async function dropAll(session: PostgresSession, way: Way, databases: readonly string[]): Promise<void> {
  const present = new Set(await databaseNames(session));
  for (const database of databases.filter((name) => present.has(name))) {
    await inDatabase(way, database, dropSubscriptions);
    await dropDatabase(session, database);
  }
}

interface Relation {
  readonly name: string;
  readonly schema: string;
  readonly table: string;
}

async function examine(
  session: PostgresSession,
  { tables, statements }: ScratchQuestions,
): Promise<ScratchFindings> {
  // An error where row security would hide rows.
  await session.query('SET row_security = off');
  await session.query('SET default_transaction_read_only = on');
  const relations = await session.query<Relation>(
    `SELECT nspname || '.' || relname AS name, nspname AS schema, relname AS table
       FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
      WHERE relkind = 'r' AND nspname || '.' || relname = ANY ($1::text[])`,
    [tables],
  );
  const filled = await tablesOfExtensions(session);
  const rows: { name: string; rows: number }[] = [];
  for (const { name, schema, table } of relations) {
    if (filled.has(name)) continue;
    const relation = `${quoteIdentifier(schema)}.${quoteIdentifier(table)}`;
    const [counted] = await session.query<{ rows: string }>(
      `SELECT count(*)::text AS rows FROM ONLY ${relation}`,
    );
    rows.push({ name, rows: Number(counted?.rows) });
  }
  const found = new Set(relations.map(({ name }) => name));
  // As whoever connects has it: the session itself has nothing on its search path.
  await session.query('RESET search_path');
  const answers: ScratchAnswer[] = [];
  for (const statement of statements) answers.push(await answerOf(session, statement));
  return { rows, missing: tables.filter((name) => !found.has(name)), answers };
}

async function answerOf(session: PostgresSession, statement: string): Promise<ScratchAnswer> {
  try {
    const [row] = await session.query<Record<string, unknown>>(statement);
    return { value: row === undefined ? undefined : textOf(Object.values(row)[0]) };
  } catch (error) {
    return failedAnswer(error);
  }
}

function textOf(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  if (value instanceof Date) return value.toISOString();
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
