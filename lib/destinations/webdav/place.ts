import { commitFolder } from '../commit-folder.ts';
import { cleanUp, type WritePlace } from '../write-place.ts';
import { pruneFolders } from './folders-in-use.ts';
import { removeFile, removeTree } from './resources.ts';
import type { WebdavStorage } from './storage.ts';

const PAUSES_MS = [2000];

/** Where one object is being written. */
export interface WebdavPlace extends WritePlace<WebdavStorage> {
  /** Its folders may be removed from now on, if empty. */
  leave(): void;
}

/** Removes the temporary file and the folders that were made for it. */
export async function removeTraces(place: WebdavPlace, { lock = false } = {}): Promise<void> {
  place.leave();
  await cleanUp((signal) => removeOnce(place, lock, signal), PAUSES_MS);
}

async function removeOnce(place: WebdavPlace, lock: boolean, signal: AbortSignal): Promise<void> {
  const { storage, path, names, temporary } = place;
  await storage.try(`remove the unfinished ${path}`, signal, async () => {
    await removeFile(storage.client, temporary, signal);
    if (lock) await removeTree(storage.client, commitFolder(names), signal);
    await pruneFolders(storage, names, signal);
  });
}
