import { alreadyExists } from '../already-exists.ts';
import type { LockRefusal } from '../commit-lock.ts';
import type { PendingObject } from '../driver.ts';
import { LockedCommit } from '../locked-commit.ts';
import { temporaryName } from '../temporary-names.ts';
import type { FtpConnection } from './connection.ts';
import { replyCode } from './failures.ts';
import { look, pathOf } from './folders.ts';
import { type FtpPlace, removeTraces } from './place.ts';

/** A transferred file that waits for its name. */
export function pendingObject(place: FtpPlace, bytes: number, replace: boolean): PendingObject {
  const { storage } = place;
  return new LockedCommit<FtpConnection>(place, bytes, {
    use: (doing, signal, work) => storage.use(doing, signal, work),
    makeLock,
    removeLock,
    look,
    rename: (connection, signal) => publish(connection, place, replace, signal),
    mayBeRenamed: ({ transient }) => transient,
    removeTraces: (lock) => removeTraces(place, { lock }),
  });
}

async function makeLock(
  connection: FtpConnection,
  lock: readonly string[],
  signal: AbortSignal,
): Promise<LockRefusal | undefined> {
  try {
    await connection.command(`MKD ${pathOf(connection, lock)}`, signal);
    return undefined;
  } catch (error) {
    if (replyCode(error) === undefined) throw error;
    return { error, isHeld: undefined };
  }
}

async function removeLock(
  connection: FtpConnection,
  lock: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  if (!connection.usable) return false;
  try {
    await connection.command(`RMD ${pathOf(connection, lock)}`, signal);
    return true;
  } catch (error) {
    return replyCode(error) !== undefined && (await look(connection, lock, signal)) === undefined;
  }
}

/** RNTO overwrites on most servers, so that a look comes before it, under a lock. */
async function publish(
  connection: FtpConnection,
  { path, names, temporary }: FtpPlace,
  replace: boolean,
  signal: AbortSignal,
): Promise<void> {
  const isThere = (await look(connection, names, signal)) !== undefined;
  if (isThere && !replace) throw alreadyExists(path);
  const [from, to] = [pathOf(connection, temporary), pathOf(connection, names)];
  try {
    await rename(connection, from, to, signal);
  } catch (error) {
    if (!isThere || replyCode(error) === undefined) throw error;
    await renameAside(connection, from, to, pathOf(connection, aside(names)), signal);
  }
}

async function rename(
  connection: FtpConnection,
  from: string,
  to: string,
  signal: AbortSignal,
): Promise<void> {
  await connection.command(`RNFR ${from}`, signal);
  await connection.command(`RNTO ${to}`, signal);
}

/** For servers whose RNTO does not overwrite: the old content is kept until the new one has its name. */
async function renameAside(
  connection: FtpConnection,
  from: string,
  to: string,
  old: string,
  signal: AbortSignal,
): Promise<void> {
  await rename(connection, to, old, signal);
  try {
    await rename(connection, from, to, signal);
  } catch (error) {
    if (connection.usable) await rename(connection, old, to, signal);
    throw error;
  }
  await connection.tryCommand(`DELE ${old}`, signal);
}

function aside(names: readonly string[]): string[] {
  return [...names.slice(0, -1), temporaryName(names.at(-1) as string)];
}
