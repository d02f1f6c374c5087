import { BackupError, type ErrorCode, toBackupError } from '../../errors.ts';

/**
 * Turns what SQLite reports into an error that a person can act on.
 * @param file the database (or the spool) that the failed statement worked on
 */
export function sqliteFailure(thrown: unknown, file: string): BackupError {
  if (thrown instanceof BackupError) return thrown;
  const { code, message } = thrown as { code?: unknown; message?: unknown };
  if (typeof code !== 'string' || !code.startsWith('SQLITE_')) return toBackupError(thrown, file);
  const [failure, explanation, transient] = explain(code);
  return new BackupError(failure, `${file} ${explanation} (${code}: ${String(message)})`, {
    transient,
    cause: thrown,
  });
}

function explain(code: string): [failure: ErrorCode, explanation: string, transient: boolean] {
  if (code === 'SQLITE_READONLY_ROLLBACK') {
    return [
      'permission',
      'has the journal of a program that crashed, and rolling it back needs write access',
      true,
    ];
  }
  const primary = /^SQLITE_[A-Z]+/.exec(code)?.[0] ?? code;
  switch (primary) {
    case 'SQLITE_BUSY':
    case 'SQLITE_LOCKED':
    case 'SQLITE_PROTOCOL':
      return ['unavailable', 'is locked by another program: try again later, or wait longer for locks', true];
    case 'SQLITE_NOTADB':
      return [
        'corrupt',
        'is not a readable SQLite database: its header is damaged, or it is encrypted',
        false,
      ];
    case 'SQLITE_CORRUPT':
      return ['corrupt', 'is damaged: recover it with sqlite3 .recover, or restore an earlier backup', false];
    case 'SQLITE_CANTOPEN':
      return [
        'permission',
        'cannot be opened: SQLite needs to create its -wal and -shm files in the same folder, so give it write access there',
        false,
      ];
    case 'SQLITE_READONLY':
    case 'SQLITE_PERM':
    case 'SQLITE_AUTH':
      return ['permission', 'can only be read with write access to the file and its folder', false];
    case 'SQLITE_FULL':
      return ['no-space', 'does not fit: the disk is full', false];
    case 'SQLITE_IOERR':
      return ['unavailable', 'cannot be read or written: the disk reports an error', true];
    case 'SQLITE_NOMEM':
      return ['unavailable', 'cannot be read: there is not enough memory', true];
    default:
      return ['internal', 'cannot be read', false];
  }
}
