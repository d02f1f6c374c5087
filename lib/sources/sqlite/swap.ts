import type { Stats } from 'node:fs';
import { chmod, chown, link, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import { SqliteChild } from './child.ts';
import { processesWithOpen } from './open-by.ts';
import { removeSiblings, renameSiblings, siblingsOf } from './siblings.ts';

/** How long a program that has the database locked may take to let go, in milliseconds. */
const BUSY_TIMEOUT_MS = 2000;

export interface Replacement {
  /** The checked new file, in the same folder. */
  readonly restored: string;
  readonly target: string;
  /** What is there now; undefined when nothing is. */
  readonly previous: Stats | undefined;
  /** Keep what is replaced under another name. */
  readonly keep: boolean;
}

/**
 * Refuses a database that some program has open: that program would go on with the old file.
 * @throws BackupError `unavailable`
 */
export async function requireUnused(target: string, signal: AbortSignal): Promise<void> {
  const lock = await lockTarget(target, 'check', signal);
  await lock.release();
}

/**
 * Puts the restored file in the place of the target and returns the name under which the previous content
 * is kept. The previous database is locked meanwhile, and all of it is in its file by then: no log or
 * journal is left that SQLite would apply to the new one. A crash at any moment leaves one or the other.
 */
export async function swapIn(replacement: Replacement, signal: AbortSignal): Promise<string | undefined> {
  const { restored, target, previous } = replacement;
  if (previous === undefined) return await putFirst(replacement);
  await adoptOwner(restored, previous);
  const lock = await lockTarget(target, 'replace', signal);
  try {
    return await exchange(replacement, lock.readable);
  } finally {
    await lock.release();
  }
}

interface Lock {
  /** False when the file is no readable database; its log and journal then belong to its safety copy. */
  readonly readable: boolean;
  release(): Promise<void>;
}

async function lockTarget(file: string, purpose: 'check' | 'replace', signal: AbortSignal): Promise<Lock> {
  throwIfAborted(signal);
  // Not with the signal of the run: the lock must not go in the middle of the exchange.
  const unending = new AbortController().signal;
  const request = { task: 'lock', file, busyTimeoutMs: BUSY_TIMEOUT_MS, purpose } as const;
  const child = new SqliteChild(request, file, unending);
  try {
    const { unreadable } = await child.expect('locked');
    const users = await processesWithOpen(file, child.pid);
    if (users.length > 0) throw inUse(file, users);
    return { readable: unreadable === undefined, release: () => child.kill() };
  } catch (error) {
    await child.kill();
    throw error;
  }
}

function inUse(file: string, users: readonly number[]): BackupError {
  const who = users.map((pid) => (pid === process.pid ? 'this process itself' : `process ${pid}`)).join(', ');
  return new BackupError(
    'unavailable',
    `${file} is open in ${who}: stop it first, or restore to another path`,
    {
      transient: true,
    },
  );
}

async function adoptOwner(restored: string, { uid, gid, mode }: Stats): Promise<void> {
  try {
    await chown(restored, uid, gid);
    await chmod(restored, mode & 0o777);
  } catch (error) {
    throw toBackupError(error, 'The restored file cannot be given to the owner of the one that it replaces');
  }
}

/** Where nothing was. A log or journal without its database would be applied to the new one. */
async function putFirst({ restored, target, keep }: Replacement): Promise<string | undefined> {
  const orphans = await siblingsOf(target);
  const safetyCopy = keep && orphans.length > 0 ? safetyName(target) : undefined;
  if (safetyCopy === undefined) await removeSiblings(target);
  else await renameSiblings(target, safetyCopy);
  await linkOrRename(restored, target);
  await rm(restored, { force: true });
  await syncFolder(target);
  return safetyCopy;
}

async function exchange(
  { restored, target, keep }: Replacement,
  readable: boolean,
): Promise<string | undefined> {
  const safetyCopy = keep ? await keepUnderOtherName(target) : undefined;
  try {
    if (readable || safetyCopy === undefined) await removeSiblings(target);
    else await renameSiblings(target, safetyCopy);
    await rename(restored, target);
  } catch (error) {
    if (safetyCopy !== undefined) await undoKeeping(target, safetyCopy);
    throw toBackupError(error, `${target} cannot be replaced`);
  }
  await syncFolder(target);
  return safetyCopy;
}

/** A second name for the same file, so that the first never is without one. */
async function keepUnderOtherName(target: string): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    const name = attempt === 1 ? safetyName(target) : `${safetyName(target)}-${attempt}`;
    try {
      await linkOrRename(target, name);
      return name;
    } catch (error) {
      const failure = toBackupError(error, `${target} cannot be kept as ${name}`);
      if (failure.code !== 'already-exists' || attempt > 100) throw failure;
    }
  }
}

async function undoKeeping(target: string, safetyCopy: string): Promise<void> {
  await renameSiblings(safetyCopy, target);
  await rename(safetyCopy, target);
  await rm(safetyCopy, { force: true });
}

/** Never replaces what bears the new name. File systems without hard links get a rename. */
async function linkOrRename(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EOPNOTSUPP' && code !== 'ENOSYS') {
      throw toBackupError(error, to);
    }
    const placeholder = await open(to, 'wx');
    await placeholder.close();
    await rename(from, to);
  }
}

function safetyName(target: string): string {
  const now = new Date().toISOString().replace(/[-:]/g, '').replace(/\.\d+/, '');
  return `${target}.before-restore-${now}`;
}

async function syncFolder(file: string): Promise<void> {
  const folder = await open(dirname(file), 'r');
  try {
    await folder.sync();
  } catch (error) {
    // Some file systems cannot sync a folder: there is nothing more to be done then.
    if (!['EINVAL', 'ENOTSUP', 'EBADF'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  } finally {
    await folder.close();
  }
}
