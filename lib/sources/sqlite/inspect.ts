import { BackupError } from '../../errors.ts';
import { type Connection, pragmaNumber, pragmaText, sqliteVersion } from './connection.ts';
import type { Inspection } from './protocol.ts';

/** SQLite stops looking after this many problems. */
const MAX_PROBLEMS = 20;
/** As many of them are put into the error. */
const NAMED_PROBLEMS = 3;

export interface InspectOptions {
  /**
   * `quick_check` reads every page and checks the structure, types and constraints; `integrity_check` also
   * compares each index with its table.
   */
  readonly check: 'quick_check' | 'integrity_check';
  readonly countRows: boolean;
}

/**
 * Checks a whole database and collects its facts, in the transaction that the connection is in.
 * @param file its name in errors
 * @throws BackupError `corrupt` naming the first problems
 */
export function inspect(connection: Connection, file: string, options: InspectOptions): Inspection {
  const warnings = requireSound(connection, file, options.check);
  const rows = options.countRows ? { rows: countRows(connection, warnings) } : {};
  return {
    pages: pragmaNumber(connection, 'page_count'),
    pageSize: pragmaNumber(connection, 'page_size'),
    userVersion: pragmaNumber(connection, 'user_version'),
    applicationId: pragmaNumber(connection, 'application_id'),
    encoding: pragmaText(connection, 'encoding'),
    journalMode: pragmaText(connection, 'journal_mode'),
    version: sqliteVersion(),
    ...rows,
    warnings,
  };
}

function requireSound(connection: Connection, file: string, check: InspectOptions['check']): string[] {
  try {
    requireNoProblem(problemsOf(connection, check), file, check);
    return [];
  } catch (error) {
    if (!lacksExtension(error)) throw error;
  }
  const warnings: string[] = [];
  for (const table of tablesOf(connection)) {
    const problem = checkTable(connection, table, file, check);
    if (problem !== undefined) warnings.push(problem);
  }
  return warnings;
}

/** A warning when the table can only be checked with an extension of its application. */
function checkTable(
  connection: Connection,
  table: string,
  file: string,
  check: InspectOptions['check'],
): string | undefined {
  try {
    requireNoProblem(problemsOf(connection, check, table), file, check);
    return undefined;
  } catch (error) {
    if (!lacksExtension(error)) throw error;
    return `Table ${table} was not checked: ${(error as Error).message}`;
  }
}

function problemsOf(connection: Connection, check: InspectOptions['check'], table?: string): string[] {
  const argument = table === undefined ? String(MAX_PROBLEMS) : quoteName(table);
  const answers = connection.prepare<[], string>(`PRAGMA ${check}(${argument})`).pluck().all();
  const lines = answers.flatMap((answer) => answer.split('\n'));
  return lines.filter((line) => line !== 'ok' && !line.startsWith('***'));
}

function requireNoProblem(problems: readonly string[], file: string, check: string): void {
  if (problems.length === 0) return;
  const named = problems.slice(0, NAMED_PROBLEMS).join('; ');
  const more = problems.length > NAMED_PROBLEMS ? '; and more' : '';
  throw new BackupError('corrupt', `${file} is damaged, ${check} found: ${named}${more}`);
}

/** True for a collation, function or module that only the database's own application registers. */
function lacksExtension(error: unknown): boolean {
  const { code } = error as { code?: unknown };
  return code === 'SQLITE_ERROR' || code === 'SQLITE_ERROR_MISSING_COLLSEQ';
}

function countRows(connection: Connection, warnings: string[]): Record<string, number> {
  const rows: Record<string, number> = {};
  for (const table of tablesOf(connection)) {
    try {
      const count = connection
        .prepare<[], number>(`SELECT count(*) FROM ${quoteName(table)}`)
        .pluck()
        .get();
      rows[table] = count ?? 0;
    } catch (error) {
      if (!lacksExtension(error)) throw error;
      warnings.push(`Rows of table ${table} were not counted: ${(error as Error).message}`);
    }
  }
  return rows;
}

/** Ordinary tables: neither virtual ones nor the shadow tables behind them, nor those of SQLite itself. */
function tablesOf(connection: Connection): string[] {
  return connection
    .prepare<[], string>(
      `SELECT name FROM pragma_table_list
       WHERE schema = 'main' AND type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name`,
    )
    .pluck()
    .all();
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
