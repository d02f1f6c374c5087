import { isDiskFull } from '../disk-full.ts';
import { BackupError, type ErrorCode, toBackupError } from '../errors.ts';
import { postgresStoreError } from './postgres-error.ts';

export { isLostConnection } from './postgres-error.ts';

/**
 * Says what an error of its database means for the store, and what to do about it.
 * @param store its file, or its URL without secrets
 */
export function storeError(thrown: unknown, store: string): BackupError {
  if (thrown instanceof BackupError) return thrown;
  return store.startsWith('postgresql://')
    ? postgresStoreError(thrown, store)
    : sqliteStoreError(thrown, store);
}

function sqliteStoreError(thrown: unknown, file: string): BackupError {
  const code = (thrown as { code?: unknown }).code;
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const error = (kind: ErrorCode, text: string) => new BackupError(kind, text, { cause: thrown });
  if (code === 'SQLITE_CORRUPT' || code === 'SQLITE_NOTADB') {
    return error(
      'corrupt',
      `The store ${file} is damaged (${message}). It holds history only, no backups: move it away and a new one is made`,
    );
  }
  if (code === 'SQLITE_READONLY' || code === 'SQLITE_CANTOPEN' || isAccessError(code)) {
    return error(
      'permission',
      `The store ${file} cannot be written (${message}): give this user write access to the data directory, or choose another one`,
    );
  }
  if (isDiskFull(thrown, file)) {
    return error(
      'no-space',
      `No space left for the store ${file}: free some, or choose another data directory`,
    );
  }
  return toBackupError(thrown, `The store ${file} cannot be used`);
}

function isAccessError(code: unknown): boolean {
  return code === 'EACCES' || code === 'EPERM' || code === 'EROFS';
}
