import { BackupError, type ErrorCode } from '../../errors.ts';

interface Meaning {
  readonly code: ErrorCode;
  readonly text: string;
  readonly transient?: boolean;
}

/** What a failed file operation means to the person who chose the folder, by errno name. */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  ENOENT: { code: 'not-found', text: 'it does not exist' },
  ENOTDIR: { code: 'invalid-config', text: 'a part of the path is a file, not a folder' },
  EISDIR: { code: 'invalid-config', text: 'it is a folder' },
  EEXIST: { code: 'already-exists', text: 'it exists already' },
  ELOOP: { code: 'invalid-config', text: 'it is a symbolic link, which is not followed here' },
  ENAMETOOLONG: { code: 'invalid-config', text: 'the name is too long for this file system' },
  EINVAL: { code: 'invalid-config', text: 'this file system does not take that name or operation' },
  EROFS: {
    code: 'permission',
    text: 'the file system is read-only: mount it writable, and look for disk errors if it was',
  },
  ENOSPC: { code: 'no-space', text: 'the disk is full: free space or choose another folder' },
  EDQUOT: { code: 'no-space', text: 'the disk quota is used up: raise it or free space' },
  EFBIG: {
    code: 'no-space',
    text: 'the file system or a limit of this process does not allow files of that size',
  },
  EIO: { code: 'unavailable', text: 'the disk reported an input/output error: check the disk and its cable' },
  ENXIO: { code: 'unavailable', text: 'the disk is gone' },
  ENODEV: { code: 'unavailable', text: 'the disk is gone' },
  ESTALE: { code: 'unavailable', text: 'the network file system was remounted', transient: true },
  ETIMEDOUT: { code: 'unavailable', text: 'the network file system does not answer', transient: true },
  EHOSTDOWN: { code: 'unavailable', text: 'the network file system does not answer', transient: true },
  ENOTCONN: { code: 'unavailable', text: 'the network file system is disconnected', transient: true },
  EBUSY: { code: 'unavailable', text: 'it is in use', transient: true },
  EMFILE: { code: 'unavailable', text: 'this process has too many files open', transient: true },
  ENFILE: { code: 'unavailable', text: 'this host has too many files open', transient: true },
};

/**
 * The BackupError for a failed file operation; one that already is a BackupError passes unchanged.
 * @param doing what was tried, as in `Cannot ${doing} /backups/a`: `write`, `list`
 */
export function fileError(thrown: unknown, doing: string, path: string): BackupError {
  if (thrown instanceof BackupError) return thrown;
  const errno = errnoName(thrown);
  const { code, text, transient } = MEANINGS[errno ?? ''] ?? meaningOfOther(errno, thrown);
  return new BackupError(code, `Cannot ${doing} ${path}: ${text}`, {
    cause: thrown,
    transient: transient ?? false,
  });
}

/** The errno name of a file system error (`ENOENT`), undefined for anything else. */
export function errnoName(thrown: unknown): string | undefined {
  return thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined;
}

/** True when the thrown error is one of these errno names. */
export function isErrno(thrown: unknown, ...names: string[]): boolean {
  const errno = errnoName(thrown);
  return errno !== undefined && names.includes(errno);
}

function meaningOfOther(errno: string | undefined, thrown: unknown): Meaning {
  if (errno === 'EACCES' || errno === 'EPERM') {
    const user = process.geteuid === undefined ? 'this user' : `user id ${process.geteuid()}`;
    return { code: 'permission', text: `${user}, which DBackup runs as, has no permission (${errno})` };
  }
  return { code: 'internal', text: thrown instanceof Error ? thrown.message : String(thrown) };
}
