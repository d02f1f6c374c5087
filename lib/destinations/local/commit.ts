import { link, lstat, open, rename, unlink } from 'node:fs/promises';
import { BackupError } from '../../errors.ts';
import { alreadyExists } from '../already-exists.ts';
import { commitLockName } from '../temporary-names.ts';
import { fileError, isErrno } from './errors.ts';
import type { Folder } from './folder.ts';

/** Errno names by which file systems say that they have no hard links (exFAT, many network mounts). */
const NO_LINKS = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EINVAL', 'EACCES', 'UNKNOWN'];

/** Which file it is, whatever its names. */
export interface FileIdentity {
  readonly dev: bigint;
  readonly ino: bigint;
}

/**
 * Gives the temporary file its name, atomically. rename(2) would overwrite silently, so that a new
 * object is made with link(2), which refuses an existing name whoever made it. The temporary name stays.
 * @throws BackupError `already-exists`
 */
export async function publishNew(
  folder: Folder,
  temporary: string,
  name: string,
  identity: FileIdentity,
): Promise<void> {
  try {
    await link(folder.at(temporary), folder.at(name));
  } catch (error) {
    if (isErrno(error, ...NO_LINKS)) return await publishUnderLock(folder, temporary, name);
    // On a network file system the answer of a link that was made can get lost, and its repetition fails.
    const lostAnswer = isErrno(error, 'EEXIST') && (await isSameFile(folder, name, identity));
    if (!lostAnswer) throw publishError(error, folder, name);
  }
}

/** Gives the temporary file its name, in place of an object that has it, atomically. */
export async function publishReplacing(folder: Folder, temporary: string, name: string): Promise<void> {
  try {
    await rename(folder.at(temporary), folder.at(name));
  } catch (error) {
    throw publishError(error, folder, name);
  }
}

/**
 * The same as `publishNew` without hard links: exclusive among all who use this product, by a lock file
 * that is held for the moment between looking and renaming.
 */
export async function publishUnderLock(folder: Folder, temporary: string, name: string): Promise<void> {
  const lock = folder.at(commitLockName(name));
  try {
    const held = await open(lock, 'wx', 0o600);
    await held.close();
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw publishError(error, folder, name);
    throw new BackupError(
      'already-exists',
      `Another process is writing ${folder.pathOf(name)} at this moment; if none runs, remove ${commitLockName(name)} beside it`,
      { transient: true },
    );
  }
  try {
    if (await exists(folder, name)) throw alreadyExists(folder.pathOf(name));
    await rename(folder.at(temporary), folder.at(name));
  } catch (error) {
    throw publishError(error, folder, name);
  } finally {
    await unlink(lock).catch(() => {});
  }
}

/** True when the name leads to that very file. */
export async function isSameFile(folder: Folder, name: string, identity: FileIdentity): Promise<boolean> {
  try {
    const found = await lstat(folder.at(name), { bigint: true });
    return found.ino === identity.ino && found.dev === identity.dev;
  } catch {
    return false;
  }
}

/** True when anything, a link included, has that name. */
export async function exists(folder: Folder, name: string): Promise<boolean> {
  try {
    await lstat(folder.at(name));
    return true;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw fileError(error, 'look up', folder.pathOf(name));
  }
}

function publishError(error: unknown, folder: Folder, name: string): BackupError {
  if (isErrno(error, 'EEXIST')) return alreadyExists(folder.pathOf(name));
  return fileError(error, 'commit', folder.pathOf(name));
}
