import { alreadyExists } from '../already-exists.ts';
import type { LockRefusal } from '../commit-lock.ts';
import type { PendingObject } from '../driver.ts';
import { LockedCommit } from '../locked-commit.ts';
import { isRefusal } from './failures.ts';
import { look, quoted } from './folders.ts';
import { removeTraces, type SmbPlace } from './place.ts';
import type { SmbSession } from './session.ts';

/**
 * A transferred file that waits for its name. A rename of SMB refuses a name that is taken, but Samba looks first and
 * renames then: two of its processes can both find it free. The lock keeps ours apart.
 */
export function pendingObject(place: SmbPlace, bytes: number, replace: boolean): PendingObject {
  const { storage } = place;
  return new LockedCommit<SmbSession>(place, bytes, {
    use: (doing, signal, work) => storage.use(doing, signal, work),
    makeLock,
    removeLock,
    look,
    rename: (session, signal) => publish(session, place, replace, signal),
    mayBeRenamed: ({ transient }) => transient,
    removeTraces: (lock) => removeTraces(place, { lock }),
  });
}

async function makeLock(
  session: SmbSession,
  lock: readonly string[],
  signal: AbortSignal,
): Promise<LockRefusal | undefined> {
  try {
    // The one before us may be just removing it.
    await session.order(`mkdir ${quoted(session, lock)}`, signal);
    return undefined;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { error, isHeld: isRefusal(error, 'OBJECT_NAME_COLLISION') };
  }
}

async function removeLock(
  session: SmbSession,
  lock: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  if (!session.usable) return false;
  try {
    await session.order(`rmdir ${quoted(session, lock)}`, signal);
    return true;
  } catch {
    return false;
  }
}

async function publish(
  session: SmbSession,
  { path, names, temporary }: SmbPlace,
  replace: boolean,
  signal: AbortSignal,
): Promise<void> {
  const words = `${quoted(session, temporary)} ${quoted(session, names)}`;
  try {
    await session.order(`rename ${words}${replace ? ' -f' : ''}`, signal);
  } catch (error) {
    throw isRefusal(error, 'OBJECT_NAME_COLLISION') ? alreadyExists(path) : error;
  }
}
