import { existsSync } from 'node:fs';
import Database from 'better-sqlite3';
import { BackupError } from '../../errors.ts';
import { type Connection, firstBytes, pragmaText } from './connection.ts';
import { sqliteFailure } from './failures.ts';
import { readHeader } from './header.ts';
import { retryWhileLocked, SHORT_WAIT_MS } from './lock-wait.ts';
import type { LockedReply, LockRequest } from './protocol.ts';

/**
 * Keeps the connections reachable and so open. They are never closed: closing deletes the write-ahead log
 * by its name, which may by then belong to the new database. The end of the process gives up the lock.
 */
const held: Connection[] = [];

/**
 * Takes the lock that excludes every reader and writer.
 * @throws BackupError `unavailable` when another program has the database open
 */
export function lockForReplacing({ file, busyTimeoutMs, purpose }: LockRequest): Omit<LockedReply, 'type'> {
  // Whoever has a database in WAL mode open has its log open; looking must not create one.
  const wal = readHeader(firstBytes(file))?.journal === 'wal';
  if (purpose === 'check' && wal && !existsSync(`${file}-wal`)) return {};
  try {
    const connection = new Database(file, { fileMustExist: true, timeout: SHORT_WAIT_MS });
    held.push(connection);
    retryWhileLocked(() => lock(connection, file, purpose), busyTimeoutMs);
    return {};
  } catch (error) {
    const failure = sqliteFailure(error, file);
    if (failure.code === 'corrupt') return { unreadable: failure.message };
    if (failure.code !== 'unavailable') throw failure;
    throw new BackupError('unavailable', `${file} is in use: stop the program that has it open first`, {
      transient: true,
      cause: error,
    });
  }
}

function lock(connection: Connection, file: string, purpose: LockRequest['purpose']): void {
  connection.pragma('locking_mode = EXCLUSIVE');
  connection.exec('BEGIN EXCLUSIVE');
  if (purpose === 'check' || pragmaText(connection, 'journal_mode') !== 'wal') return;
  connection.exec('COMMIT');
  const [result] = connection.pragma('wal_checkpoint(TRUNCATE)') as [{ busy: number; log: number }];
  if (result.busy === 0 && result.log === 0) return;
  throw new BackupError('unavailable', `The write-ahead log of ${file} cannot be moved into it`, {
    transient: true,
  });
}
