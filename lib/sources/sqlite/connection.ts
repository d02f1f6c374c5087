import { accessSync, closeSync, constants, openSync, readSync, statSync } from 'node:fs';
import Database from 'better-sqlite3';
import { BackupError, toBackupError } from '../../errors.ts';
import { sqliteFailure } from './failures.ts';
import { HEADER_BYTES, readHeader } from './header.ts';
import { retryWhileLocked, SHORT_WAIT_MS } from './lock-wait.ts';

export type Connection = Database.Database;

export interface OpenedSource {
  readonly connection: Connection;
  readonly warnings: readonly string[];
}

/**
 * Opens a database for reading, with a read transaction that has begun: every later read sees this moment.
 * The connection is read-only, so that a backup never checkpoints or deletes a write-ahead log; only a hot
 * journal, which a crashed writer left behind and every reader must roll back first, is given write access.
 * @throws BackupError a distinct one for a file that is missing, a folder, empty, unreadable, locked, damaged
 *   or no database
 */
export function openSource(file: string, busyTimeoutMs: number): OpenedSource {
  requireDatabaseFile(file);
  try {
    return { connection: openReading(file, busyTimeoutMs, true), warnings: [] };
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'SQLITE_READONLY_ROLLBACK') throw sqliteFailure(error, file);
  }
  try {
    return {
      connection: openReading(file, busyTimeoutMs, false),
      warnings: [
        `${file} had the journal of a writer that crashed: its unfinished transaction was rolled back`,
      ],
    };
  } catch (error) {
    throw sqliteFailure(error, file);
  }
}

/** Begins a read transaction that really holds its snapshot: BEGIN alone reads nothing. */
export function beginReading(connection: Connection): void {
  connection.exec('BEGIN');
  try {
    connection.prepare('SELECT count(*) FROM sqlite_schema').get();
  } catch (error) {
    connection.exec('ROLLBACK');
    throw error;
  }
}

/** The value of a pragma that answers with a single one. */
export function pragmaNumber(connection: Connection, name: string): number {
  return Number(connection.pragma(name, { simple: true }));
}

export function pragmaText(connection: Connection, name: string): string {
  return String(connection.pragma(name, { simple: true }));
}

/** The path of the file behind a connection, with links resolved: its -wal and -shm lie beside it. */
export function fileOf(connection: Connection): string {
  const path = connection
    .prepare<[], string>("SELECT file FROM pragma_database_list WHERE name = 'main'")
    .pluck()
    .get();
  return path ?? connection.name;
}

export function sqliteVersion(): string {
  const memory = new Database(':memory:');
  try {
    return memory.prepare<[], string>('SELECT sqlite_version()').pluck().get() ?? 'unknown';
  } finally {
    memory.close();
  }
}

function openReading(file: string, busyTimeoutMs: number, readonly: boolean): Connection {
  const connection = new Database(file, { readonly, fileMustExist: true, timeout: SHORT_WAIT_MS });
  try {
    retryWhileLocked(() => beginReading(connection), busyTimeoutMs);
    return connection;
  } catch (error) {
    connection.close();
    throw error;
  }
}

/** Looks at the file before SQLite does. No lock is held yet, so closing the descriptor drops none. */
function requireDatabaseFile(file: string): void {
  const found = statSync(file, { throwIfNoEntry: false });
  if (found === undefined) throw new BackupError('not-found', `There is no file ${file}`);
  if (found.isDirectory()) {
    throw new BackupError(
      'invalid-config',
      `${file} is a folder: name the database file, or use ${file}/*.db`,
    );
  }
  if (!found.isFile()) throw new BackupError('invalid-config', `${file} is not a regular file`);
  try {
    accessSync(file, constants.R_OK);
  } catch (error) {
    throw new BackupError('permission', `${file} may not be read by the user that this process runs as`, {
      cause: error,
    });
  }
  if (found.size === 0) {
    throw new BackupError(
      'incomplete',
      `${file} is empty: no database was ever written there, or it was cut off`,
    );
  }
  if (readHeader(firstBytes(file)) === undefined) {
    throw new BackupError(
      'corrupt',
      `${file} is not a SQLite database: it is another kind of file, an encrypted database, or its header is damaged`,
    );
  }
}

export function firstBytes(file: string): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  try {
    const descriptor = openSync(file, 'r');
    try {
      return header.subarray(0, readSync(descriptor, header, 0, HEADER_BYTES, 0));
    } finally {
      closeSync(descriptor);
    }
  } catch (error) {
    throw toBackupError(error, `${file} cannot be read`);
  }
}
