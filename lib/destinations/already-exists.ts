import { BackupError } from '../errors.ts';

/** Nothing is overwritten unasked. */
export function alreadyExists(path: string): BackupError {
  return new BackupError(
    'already-exists',
    `${path} exists already and is not overwritten: remove it first, or store under another name`,
  );
}

/** Somebody else holds the lock of a commit (its names as `commitFolder` gives them). */
export function lockHeld(path: string, lock: readonly string[]): BackupError {
  return new BackupError(
    'already-exists',
    `Another process is writing ${path} at this moment; if none runs, remove ${lock.at(-1)} beside it`,
    { transient: true },
  );
}
