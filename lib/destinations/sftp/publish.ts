import { randomInt } from 'node:crypto';
import { alreadyExists } from '../already-exists.ts';
import { commitFolder } from '../commit-folder.ts';
import { type LockRefusal, type LockState, takeLock } from '../commit-lock.ts';
import { temporaryName } from '../temporary-names.ts';
import type { SftpChannel } from './channel.ts';
import { isStatus, isUnsupported } from './failures.ts';
import { attempt, look, pathOf } from './folders.ts';
import type { SftpPlace } from './place.ts';

/** Until then, in seconds since 1970, no file of ours was made. */
const LONG_AGO = 1_000_000_000;

/** What is known of a commit, also when its connection breaks in the middle. */
export interface CommitState extends LockState {
  /** The request that gives the object its name was sent, and was not refused. */
  begun: boolean;
}

/**
 * Gives a temporary file its name, if nothing has it. A hard link refuses an existing name whoever made it;
 * the rename of SFTP should, but does not with every server.
 * @throws BackupError `already-exists`; the server's refusal as it came
 */
export async function publishNew(channel: SftpChannel, place: SftpPlace, state: CommitState): Promise<void> {
  const { names, temporary, path } = place;
  const wasTried = state.begun;
  state.begun = true;
  try {
    await channel.hardlink(pathOf(channel, temporary), pathOf(channel, names));
  } catch (error) {
    if (!isStatus(error) && !isUnsupported(error)) throw error;
    if ((await look(channel, names)) !== undefined) {
      if (wasTried && (await isSameFile(channel, place))) return;
      state.begun = false;
      throw alreadyExists(path);
    }
    state.begun = false;
    // The server, or its file system, has no hard links.
    await underLock(channel, place, state, async () => {
      if ((await look(channel, names)) !== undefined) throw alreadyExists(path);
      await clearly(state, channel.rename(pathOf(channel, temporary), pathOf(channel, names)));
    });
  }
}

/**
 * Gives a temporary file its name in place of an object that has it: in one step where the server offers that,
 * else the old one is moved aside for a moment.
 * @throws the server's refusal as it came
 */
export async function publishReplacing(
  channel: SftpChannel,
  place: SftpPlace,
  state: CommitState,
): Promise<void> {
  const [from, to] = [pathOf(channel, place.temporary), pathOf(channel, place.names)];
  try {
    await clearly(state, channel.posixRename(from, to));
  } catch (error) {
    if (!isUnsupported(error)) throw error;
    place.storage.replacesAtomically = false;
    await underLock(channel, place, state, async () => {
      const isThere = (await look(channel, place.names)) !== undefined;
      if (!isThere) await clearly(state, channel.rename(from, to));
      else if (!(await attempt(clearly(state, channel.rename(from, to)))))
        await renameAside(channel, place, state);
    });
  }
}

/** Whether the file has its name, after a commit that broke. */
export async function isPublished(channel: SftpChannel, place: SftpPlace, bytes: number): Promise<boolean> {
  const [unfinished, object] = await Promise.all([
    look(channel, place.temporary),
    look(channel, place.names),
  ]);
  if (!object?.isFile() || object.size !== bytes) return false;
  return unfinished === undefined || (await isSameFile(channel, place));
}

/**
 * Whether the temporary and the later name are hard links of one file. The protocol shows no inodes, but two
 * names of one file have their times in common.
 */
async function isSameFile(channel: SftpChannel, { temporary, names }: SftpPlace): Promise<boolean> {
  const [one, other] = await Promise.all([look(channel, temporary), look(channel, names)]);
  if (!one?.isFile() || !other?.isFile() || one.size !== other.size || one.mtime !== other.mtime)
    return false;
  const mark = randomInt(1, LONG_AGO);
  await channel.setTimes(pathOf(channel, temporary), one.atime, mark);
  try {
    return (await look(channel, names))?.mtime === mark;
  } finally {
    await channel.setTimes(pathOf(channel, temporary), one.atime, one.mtime);
  }
}

/** A request that was refused did nothing; one whose answer got lost may have done it. */
async function clearly(state: CommitState, request: Promise<void>): Promise<void> {
  state.begun = true;
  try {
    await request;
  } catch (error) {
    if (isStatus(error) || isUnsupported(error)) state.begun = false;
    throw error;
  }
}

/** Making a folder is what every server does atomically, and refuses when it is there. */
async function underLock(
  channel: SftpChannel,
  place: SftpPlace,
  state: CommitState,
  work: () => Promise<void>,
): Promise<void> {
  await takeLock(place, state, {
    make: (lock) => makeLock(channel, lock),
    look: (lock) => look(channel, lock),
  });
  try {
    await work();
  } finally {
    if (channel.usable) await unlock(channel, place, state).catch(() => undefined);
  }
}

async function makeLock(channel: SftpChannel, lock: readonly string[]): Promise<LockRefusal | undefined> {
  try {
    await channel.mkdir(pathOf(channel, lock));
    return undefined;
  } catch (error) {
    if (!isStatus(error)) throw error;
    return { error, isHeld: undefined };
  }
}

/** Removes a lock of ours. */
export async function unlock(channel: SftpChannel, { names }: SftpPlace, state: CommitState): Promise<void> {
  state.locked = !(await attempt(channel.rmdir(pathOf(channel, commitFolder(names)))));
}

/** The old content is kept until the new one has its name. */
async function renameAside(channel: SftpChannel, place: SftpPlace, state: CommitState): Promise<void> {
  const { names, temporary } = place;
  const to = pathOf(channel, names);
  const old = pathOf(channel, [...names.slice(0, -1), temporaryName(names.at(-1) as string)]);
  await channel.rename(to, old);
  try {
    await clearly(state, channel.rename(pathOf(channel, temporary), to));
  } catch (error) {
    if (channel.usable) await channel.rename(old, to);
    throw error;
  }
  await attempt(channel.unlink(old));
}
