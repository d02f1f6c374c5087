import { setTimeout as wait } from 'node:timers/promises';
import Database from 'better-sqlite3';
import { BackupError, toBackupError } from '../errors.ts';

/** How long another process may hold the lock before we give up, in milliseconds. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 20;

/**
 * Runs `work` while no other process or caller runs under the same lock file. The lock is SQLite's on that
 * (empty) file: the operating system frees it when its holder dies, so it never has to be called stale.
 * @throws BackupError `unavailable` when the lock is held for longer than 10 s
 */
export async function withFileLock<T>(lockFile: string, work: () => Promise<T>): Promise<T> {
  const lock = await acquire(lockFile);
  try {
    return await work();
  } finally {
    lock.close();
  }
}

async function acquire(lockFile: string): Promise<Database.Database> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const lock = tryAcquire(lockFile);
    if (lock !== undefined) return lock;
    if (Date.now() > deadline) {
      throw new BackupError('unavailable', `${lockFile} is locked by another process: try again later`, {
        transient: true,
      });
    }
    await wait(RETRY_MS);
  }
}

/** Undefined when someone else holds the lock. */
function tryAcquire(lockFile: string): Database.Database | undefined {
  let lock: Database.Database | undefined;
  try {
    lock = new Database(lockFile, { timeout: 0 });
    lock.exec('BEGIN EXCLUSIVE');
    return lock;
  } catch (error) {
    lock?.close();
    if (error instanceof Database.SqliteError) {
      if (error.code.startsWith('SQLITE_BUSY')) return undefined;
      throw new BackupError('permission', `${lockFile} cannot be locked: ${error.message}`, { cause: error });
    }
    throw toBackupError(error, `${lockFile} cannot be locked`);
  }
}
