import { commitFolder } from '../commit-folder.ts';
import { cleanUp, type WritePlace } from '../write-place.ts';
import { isRefusal } from './failures.ts';
import { pruneFolders, quoted } from './folders.ts';
import { removeFile } from './listing.ts';
import type { SmbSession } from './session.ts';
import type { SmbStorage } from './storage.ts';

/** A server keeps the file of a dead client open until it notices. */
const PAUSES_MS = [50, 100, 200, 500, 1000, 2000];

export type SmbPlace = WritePlace<SmbStorage>;

/** Removes the temporary file and the folders that were made for it, in any session that can be had. */
export async function removeTraces(place: SmbPlace, { lock = false } = {}): Promise<void> {
  await cleanUp((signal) => removeOnce(place, lock, signal), PAUSES_MS);
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
