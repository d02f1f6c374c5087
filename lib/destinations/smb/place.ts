import { setTimeout as wait } from 'node:timers/promises';
import { toBackupError } from '../../errors.ts';
import { commitFolder } from '../commit-folder.ts';
import { isRefusal } from './failures.ts';
import { pruneFolders, quoted } from './folders.ts';
import { removeFile } from './listing.ts';
import type { SmbSession } from './session.ts';
import type { SmbStorage } from './storage.ts';

/** How long a clean-up may go on after its caller has given up waiting, in ms. */
const CLEAN_UP_MS = 60_000;
/** Pauses between its tries, in ms: a server keeps the file of a dead client open until it notices. */
const PAUSES_MS = [50, 100, 200, 500, 1000, 2000];

/** Where one object is being written. */
export interface SmbPlace {
  readonly storage: SmbStorage;
  readonly path: string;
  /** Its names below the storage's folder, as they are in the share. */
  readonly names: readonly string[];
  /** The same with the hidden name that it has until it is committed. */
  readonly temporary: readonly string[];
}

/**
 * Removes the temporary file and the folders that were made for it, in any session that can be had; tries again
 * while the server cannot be reached. What stays is swept later.
 */
export async function removeTraces(place: SmbPlace, { lock = false } = {}): Promise<void> {
  const signal = AbortSignal.timeout(CLEAN_UP_MS);
  for (let attempt = 0; ; attempt += 1) {
    try {
      await removeOnce(place, lock, signal);
      return;
    } catch (error) {
      if (!toBackupError(error).transient) throw error;
      await wait(PAUSES_MS[attempt] ?? PAUSES_MS.at(-1), undefined, { signal, ref: false });
    }
  }
}

async function removeOnce(
  { storage, path, names, temporary }: SmbPlace,
  lock: boolean,
  signal: AbortSignal,
): Promise<void> {
  await storage.use(`remove the unfinished ${path}`, signal, async (session) => {
    await removeFile(session, temporary, signal);
    if (lock) await removeLock(session, names, signal);
    await pruneFolders(session, names.slice(0, -1), signal);
  });
}

/** Removes the lock of a commit, if it is there. */
async function removeLock(session: SmbSession, names: readonly string[], signal: AbortSignal): Promise<void> {
  try {
    await session.order(`rmdir ${quoted(session, commitFolder(names))}`, signal);
  } catch (error) {
    if (!isRefusal(error)) throw error;
  }
}
