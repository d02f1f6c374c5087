import { BackupError, toBackupError } from '../../errors.ts';
import type { ServerRestoreOptions } from '../server/restore-options.ts';
import { listObjects } from './database-objects.ts';
import { type DefinitionSession, quoteName } from './definition-session.ts';
import { requireReferences } from './references.ts';
import { keptName } from './restore-names.ts';

/** What filling tables came to. */
export interface Filled {
  /** The database that has the rows that were there before. */
  readonly safetyCopy: string | undefined;
  readonly rows: number;
}

/** @throws BackupError when the database is not there, or its chosen tables are not, or have rows */
export async function requireFillable(
  session: DefinitionSession,
  { database, tables, overwrite }: ServerRestoreOptions,
  exists: boolean,
): Promise<void> {
  if (!exists) {
    throw new BackupError(
      'not-found',
      `The database ${database} does not exist: data alone goes into tables that are there`,
    );
  }
  const there = (await listObjects(session, database)).names.get('table') ?? [];
  const missing = tables.filter((table) => !there.includes(table));
  if (missing.length > 0) {
    throw new BackupError('not-found', `${database} has no table ${missing.join(', ')} to put rows into`);
  }
  if (overwrite === 'refuse' && tables.length > 0) await requireEmpty(session, database, tables);
}

/**
 * Makes the rows of a restored database those of the tables that are there, in one transaction. The rows
 * that were there go into a database of their own, in the same transaction.
 * @param restored a complete database, gone to nothing by its owner afterwards
 * @throws BackupError; nothing is changed then, but for tables of engines without transactions
 */
export async function fillTables(
  session: DefinitionSession,
  options: ServerRestoreOptions,
  restored: string,
): Promise<Filled> {
  const { database } = options;
  const tables = await fillable(session, options, restored);
  const copies = options.safetyCopy ? await withRows(session, database, tables) : [];
  const safetyCopy = copies.length === 0 ? undefined : await makeCopies(session, database, copies);
  try {
    await session.run("SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', SESSION autocommit = 0");
    for (const table of copies) await copyRows(session, database, safetyCopy ?? '', table);
    let rows = 0;
    for (const table of tables) {
      await session.run(`DELETE FROM ${place(database, table)}`);
      await copyRows(session, restored, database, table);
      rows += await countRows(session, database, table);
    }
    await requireReferences(session, database, tables);
    await session.run('COMMIT');
    return { safetyCopy, rows };
  } catch (error) {
    await session.run('ROLLBACK').catch(() => undefined);
    if (safetyCopy !== undefined) {
      await session.run(`DROP DATABASE ${quoteName(safetyCopy)}`).catch(() => undefined);
    }
    throw toBackupError(error);
  } finally {
    await session.run("SET SESSION sql_mode = '', SESSION autocommit = 1").catch(() => undefined);
  }
}

/** The tables to fill: each is there, takes the rows as they are, and can undo. */
async function fillable(
  session: DefinitionSession,
  options: ServerRestoreOptions,
  restored: string,
): Promise<string[]> {
  const { database, overwrite } = options;
  const coming = (await listObjects(session, restored)).names.get('table') ?? [];
  const tables = options.tables.length === 0 ? [...coming] : [...options.tables];
  const there = (await listObjects(session, database)).names.get('table') ?? [];
  for (const table of tables) {
    if (!coming.includes(table)) throw new BackupError('not-found', `The dump has no table ${table}`);
    if (!there.includes(table)) {
      throw new BackupError(
        'not-found',
        `${database} has no table ${table} to put rows into: restore its schema first`,
      );
    }
    const columns = await columnsOf(session, database, table);
    const missing = (await columnsOf(session, restored, table)).filter((name) => !columns.includes(name));
    if (missing.length > 0) {
      throw new BackupError(
        'not-found',
        `The table ${table} of ${database} has no column ${missing.join(', ')}`,
      );
    }
  }
  await requireTransactions(session, database, tables);
  await requireNoTriggers(session, database, tables);
  if (overwrite === 'refuse') await requireEmpty(session, database, tables);
  return tables;
}

async function requireEmpty(
  session: DefinitionSession,
  database: string,
  tables: readonly string[],
): Promise<void> {
  const [full] = await withRows(session, database, tables);
  if (full === undefined) return;
  throw new BackupError(
    'already-exists',
    `The table ${full} of ${database} has rows: allow them to be replaced, or empty it`,
  );
}

async function requireTransactions(
  session: DefinitionSession,
  database: string,
  tables: readonly string[],
): Promise<void> {
  const engines = await session.rows(
    `SELECT t.TABLE_NAME, t.ENGINE FROM information_schema.TABLES t
     JOIN information_schema.ENGINES e ON e.ENGINE = t.ENGINE
     WHERE t.TABLE_SCHEMA = ? AND e.TRANSACTIONS <> 'YES'`,
    [database],
  );
  const found = engines.find(([table]) => tables.includes(table ?? ''));
  if (found === undefined) return;
  throw new BackupError(
    'invalid-config',
    `The table ${found[0]} of ${database} has the engine ${found[1]}, which cannot undo a change that fails half-way: restore the whole database, or choose the other tables`,
  );
}

async function requireNoTriggers(
  session: DefinitionSession,
  database: string,
  tables: readonly string[],
): Promise<void> {
  const triggers = await session.rows(
    'SELECT EVENT_OBJECT_TABLE, TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = ?',
    [database],
  );
  const found = triggers.find(([table]) => tables.includes(table ?? ''));
  if (found === undefined) return;
  throw new BackupError(
    'invalid-config',
    `The trigger ${found[1]} of the table ${found[0]} would change the rows that are restored: drop it, restore, and make it again`,
  );
}

/** Columns that take values: generated ones do not. */
async function columnsOf(session: DefinitionSession, database: string, table: string): Promise<string[]> {
  const rows = await session.rows(
    `SELECT COLUMN_NAME FROM information_schema.COLUMNS
     WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND COALESCE(GENERATION_EXPRESSION, '') = ''
     ORDER BY ORDINAL_POSITION`,
    [database, table],
  );
  return rows.map(([name]) => name ?? '');
}

async function withRows(
  session: DefinitionSession,
  database: string,
  tables: readonly string[],
): Promise<string[]> {
  const found: string[] = [];
  for (const table of tables) {
    const rows = await session.rows(`SELECT 1 FROM ${place(database, table)} LIMIT 1`);
    if (rows.length > 0) found.push(table);
  }
  return found;
}

async function makeCopies(
  session: DefinitionSession,
  database: string,
  tables: readonly string[],
): Promise<string> {
  const rows = await session.rows('SELECT SCHEMA_NAME FROM information_schema.SCHEMATA');
  const names = rows.map(([name]) => name ?? '');
  const copy = keptName(database, new Date(), names);
  await session.run(`CREATE DATABASE ${quoteName(copy)}`);
  for (const table of tables) {
    await session.run(`CREATE TABLE ${place(copy, table)} LIKE ${place(database, table)}`);
  }
  return copy;
}

/** Of one table into the table of the same name. */
async function copyRows(session: DefinitionSession, from: string, to: string, table: string): Promise<void> {
  const columns = (await columnsOf(session, from, table)).map(quoteName).join(', ');
  await session.run(
    `INSERT INTO ${place(to, table)} (${columns}) SELECT ${columns} FROM ${place(from, table)}`,
  );
}

async function countRows(session: DefinitionSession, database: string, table: string): Promise<number> {
  const [[count] = []] = await session.rows(`SELECT COUNT(*) FROM ${place(database, table)}`);
  return Number(count ?? 0);
}

function place(database: string, table: string): string {
  return `${quoteName(database)}.${quoteName(table)}`;
}
