import { alreadyExists } from '../already-exists.ts';
import type { LockRefusal } from '../commit-lock.ts';
import type { PendingObject } from '../driver.ts';
import { LockedCommit } from '../locked-commit.ts';
import type { WebdavClient } from './client.ts';
import { StatusError, statusOf } from './failures.ts';
import { removeTraces, type WebdavPlace } from './place.ts';
import { look, move, removeTree } from './resources.ts';

/** A transferred file that waits for its name. */
export function pendingObject(place: WebdavPlace, bytes: number, replace: boolean): PendingObject {
  const { storage } = place;
  return new LockedCommit<WebdavClient>(place, bytes, {
    use: (doing, signal, work) => storage.try(doing, signal, () => work(storage.client)),
    makeLock,
    removeLock,
    look,
    rename: (client, signal) => publish(client, place, replace, signal),
    // A MOVE that was repeated by a proxy finds nothing to move.
    mayBeRenamed: ({ code, transient }) => transient || code === 'not-found',
    removeTraces: (lock) => removeTraces(place, { lock }),
    committed: () => place.leave(),
  });
}

async function makeLock(
  client: WebdavClient,
  lock: readonly string[],
  signal: AbortSignal,
): Promise<LockRefusal | undefined> {
  const request = { method: 'MKCOL', url: client.url(lock, { folder: true }), signal };
  try {
    const status = await client.status(request, 201, 405, 403);
    if (status === 201) return undefined;
    const reason = status === 403 ? 'Forbidden' : 'Method Not Allowed';
    return { error: new StatusError(status, reason), isHeld: undefined };
  } catch (error) {
    if (statusOf(error) === undefined) throw error;
    return { error, isHeld: false };
  }
}

async function removeLock(
  client: WebdavClient,
  lock: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await removeTree(client, lock, signal);
    return true;
  } catch {
    return false;
  }
}

/** Servers look and rename in two steps even where they refuse to overwrite: hence the lock. */
async function publish(
  client: WebdavClient,
  { path, names, temporary }: WebdavPlace,
  replace: boolean,
  signal: AbortSignal,
): Promise<void> {
  try {
    if (!replace && (await look(client, names, signal)) !== undefined) throw alreadyExists(path);
    await move(client, temporary, names, { overwrite: replace, signal });
  } catch (error) {
    throw statusOf(error) === 412 ? alreadyExists(path) : error;
  }
}
