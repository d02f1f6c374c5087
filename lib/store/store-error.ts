import { isDiskFull } from '../disk-full.ts';
import { BackupError, toBackupError } from '../errors.ts';

/** Says what an error of SQLite means for the store, and what to do about it. */
export function storeError(thrown: unknown, file: string): BackupError {
  if (thrown instanceof BackupError) return thrown;
  const code = (thrown as { code?: unknown }).code;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (code === 'SQLITE_CORRUPT' || code === 'SQLITE_NOTADB') {
    return new BackupError(
      'corrupt',
      `The store ${file} is damaged (${message}). It holds history only, no backups: move it away and a new one is made`,
      { cause: thrown },
    );
  }
  if (code === 'SQLITE_READONLY' || code === 'SQLITE_CANTOPEN' || isAccessError(code)) {
    return new BackupError(
      'permission',
      `The store ${file} cannot be written (${message}): give this user write access to the data directory, or choose another one`,
      { cause: thrown },
    );
  }
  if (isDiskFull(thrown, file)) {
    return new BackupError(
      'no-space',
      `No space left for the store ${file}: free some, or choose another data directory`,
      { cause: thrown },
    );
  }
  return toBackupError(thrown, `The store ${file} cannot be used`);
}

function isAccessError(code: unknown): boolean {
  return code === 'EACCES' || code === 'EPERM' || code === 'EROFS';
}
