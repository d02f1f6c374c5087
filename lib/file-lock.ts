import { setTimeout as wait } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { isDiskFull } from './disk-full.ts';
import { BackupError, toBackupError } from './errors.ts';

/** How long another process may hold the lock before we give up, in milliseconds. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 20;

/** A lock that is held. */
export interface FileLock {
  release(): void;
}

/**
 * Runs `work` while no other process or caller runs under the same lock file.
 * @throws BackupError `unavailable` when the lock is held for longer than 10 s
 */
export async function withFileLock<T>(lockFile: string, work: () => Promise<T>): Promise<T> {
  const lock = await acquire(lockFile);
  try {
    return await work();
  } finally {
    lock.release();
  }
}

async function acquire(lockFile: string): Promise<FileLock> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const lock = tryFileLock(lockFile);
    if (lock !== undefined) return lock;
    if (Date.now() > deadline) {
      throw new BackupError('unavailable', `${lockFile} is locked by another process: try again later`, {
        transient: true,
      });
    }
    await wait(RETRY_MS);
  }
}

/**
 * Takes the lock of this file, which is made when it is missing. It is SQLite's on that (empty) file: the
 * operating system frees it when its holder dies, so it never has to be called stale, and it means the same in
 * every container that shares the folder, where a process id would not.
 * @returns undefined when someone else holds it
 * @throws BackupError `permission`, `no-space` …
 */
export function tryFileLock(lockFile: string): FileLock | undefined {
  let database: Database.Database | undefined;
  try {
    database = new Database(lockFile, { timeout: 0 });
    database.exec('BEGIN EXCLUSIVE');
    const held = database;
    return { release: () => void held.close() };
  } catch (error) {
    database?.close();
    if (error instanceof Database.SqliteError) {
      if (error.code.startsWith('SQLITE_BUSY')) return undefined;
      if (isDiskFull(error, lockFile)) {
        throw new BackupError('no-space', `No space left for ${lockFile}: free some`, { cause: error });
      }
      throw new BackupError('permission', `${lockFile} cannot be locked: ${error.message}`, { cause: error });
    }
    throw toBackupError(error, `${lockFile} cannot be locked`);
  }
}
