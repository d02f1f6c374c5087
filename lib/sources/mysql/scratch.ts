import { BackupError, toBackupError } from '../../errors.ts';
import type { TableRows } from '../driver.ts';
import {
  failedAnswer,
  leftoverScratches,
  type ScratchAnswer,
  type ScratchDatabase,
  type ScratchFindings,
  type ScratchQuestions,
  scratchName,
} from '../scratch.ts';
import type { ServerRestoreOptions } from '../server/restore-options.ts';
import { clientsOf, endClients } from './clients.ts';
import { connectMysql, describeServer, type MysqlSession } from './connect.ts';
import { DefinitionSession, quoteName } from './definition-session.ts';
import { createMysqlRestoreTarget } from './mysql-restore.ts';
import type { MysqlServer } from './options.ts';

/** How long removing a database may take, in ms. */
const DROP_MS = 120_000;
/** Engines whose rows are elsewhere, and in no dump. */
const ELSEWHERE = new Set(['mrg_myisam', 'federated', 'connect', 'spider', 'blackhole']);

/**
 * A database on a MySQL or MariaDB server for a test restore. Events are left out: the server would run them.
 * @throws BackupError `invalid-config`
 */
export function createMysqlScratch(
  server: MysqlServer,
  options: Omit<ServerRestoreOptions, 'database'>,
): ScratchDatabase {
  const database = scratchName();
  return {
    place: `${database} on ${describeServer(server)}`,
    target: createMysqlRestoreTarget(server, { ...options, database, events: false }),
    examine: async (questions, signal) => {
      const session = await connectMysql(server, database, signal);
      try {
        return await examine(session, database, questions);
      } finally {
        await session.close();
      }
    },
    drop: async () => {
      try {
        await withSession(server, AbortSignal.timeout(DROP_MS), (session) => dropAll(session, [database]));
      } catch (error) {
        throw new BackupError(
          'unavailable',
          `The database ${database} is left over, drop it: ${toBackupError(error).message}`,
          { transient: true, cause: error },
        );
      }
    },
  };
}

/**
 * Drops the databases that killed test restores have left on a server, a day after they were made. A test restore that
 * still goes on is connected to its own.
 * @returns their names
 */
export async function sweepMysqlScratches(server: MysqlServer, signal: AbortSignal): Promise<string[]> {
  return await withSession(server, signal, async (session) => {
    const rows = await session.rows('SELECT SCHEMA_NAME FROM information_schema.SCHEMATA');
    const inUse = new Set((await clientsOf(session)).map(({ database }) => database));
    const leftovers = leftoverScratches(rows.map(([name]) => name ?? '').filter((name) => !inUse.has(name)));
    await dropAll(session, leftovers);
    return leftovers;
  });
}

async function withSession<T>(
  server: MysqlServer,
  signal: AbortSignal,
  work: (session: DefinitionSession) => Promise<T>,
): Promise<T> {
  const session = await DefinitionSession.open(server, signal, DROP_MS / 1000);
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

async function dropAll(session: DefinitionSession, databases: readonly string[]): Promise<void> {
  for (const database of databases) {
    await endClients(session, database);
    await session.run(`DROP DATABASE IF EXISTS ${quoteName(database)}`);
  }
}

async function examine(
  session: MysqlSession,
  database: string,
  { tables, statements }: ScratchQuestions,
): Promise<ScratchFindings> {
  const { rows, missing } = await countAll(session, database, tables);
  const answers: ScratchAnswer[] = [];
  for (const statement of statements) answers.push(await answerOf(session, statement));
  return { rows, missing, answers };
}

async function countAll(
  session: MysqlSession,
  database: string,
  wanted: readonly string[],
): Promise<Pick<ScratchFindings, 'rows' | 'missing'>> {
  const present = await session.query(
    'SELECT TABLE_NAME, TABLE_TYPE, ENGINE FROM information_schema.TABLES WHERE TABLE_SCHEMA = ?',
    [database],
  );
  // Servers may keep names in small letters.
  const byName = new Map(present.map((row) => [row[0]?.toLowerCase(), row]));
  const exactly = new Map(present.map((row) => [row[0], row]));
  const rows: TableRows[] = [];
  const missing: string[] = [];
  for (const name of wanted) {
    const [table, type, engine] = exactly.get(name) ?? byName.get(name.toLowerCase()) ?? [];
    if (table === undefined || table === null) missing.push(name);
    else if (!ELSEWHERE.has(engine?.toLowerCase() ?? '')) {
      rows.push({ name, rows: await countRows(session, table, type ?? '') });
    }
  }
  return { rows, missing };
}

async function countRows(session: MysqlSession, table: string, type: string): Promise<number> {
  // The history of a table is part of its dump.
  const history = type === 'SYSTEM VERSIONED' ? ' FOR SYSTEM_TIME ALL' : '';
  const [[count] = []] = await session.query(`SELECT COUNT(*) FROM ${quoteName(table)}${history}`);
  return Number(count);
}

async function answerOf(session: MysqlSession, statement: string): Promise<ScratchAnswer> {
  try {
    await session.query('START TRANSACTION READ ONLY');
    const [row] = await session.query(statement);
    return { value: row === undefined ? undefined : (row[0] ?? null) };
  } catch (error) {
    return failedAnswer(error);
  } finally {
    await session.query('ROLLBACK').catch(() => undefined);
  }
}
