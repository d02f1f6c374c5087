import { setTimeout as wait } from 'node:timers/promises';
import { toBackupError } from '../../errors.ts';
import { commitFolder } from '../commit-folder.ts';
import { pruneFolders } from './folders-in-use.ts';
import { removeFile, removeTree } from './resources.ts';
import type { WebdavStorage } from './storage.ts';

/** How long a clean-up may go on after its caller has given up waiting, in ms. */
const CLEAN_UP_MS = 60_000;
const BETWEEN_TRIES_MS = 2000;

/** Where one object is being written. */
export interface WebdavPlace {
  readonly storage: WebdavStorage;
  readonly path: string;
  /** Its names below the storage's folder. */
  readonly names: readonly string[];
  /** The same with the hidden name that it has until it is committed. */
  readonly temporary: readonly string[];
  /** Its folders may be removed from now on, if empty. */
  leave(): void;
}

/**
 * Removes the temporary file and the folders that were made for it; tries again while the server cannot be
 * reached. What stays is swept later.
 */
export async function removeTraces(place: WebdavPlace, { lock = false } = {}): Promise<void> {
  const signal = AbortSignal.timeout(CLEAN_UP_MS);
  place.leave();
  for (;;) {
    try {
      await removeOnce(place, lock, signal);
      return;
    } catch (error) {
      if (!toBackupError(error).transient) throw error;
      await wait(BETWEEN_TRIES_MS, undefined, { signal, ref: false });
    }
  }
}

async function removeOnce(place: WebdavPlace, lock: boolean, signal: AbortSignal): Promise<void> {
  const { storage, path, names, temporary } = place;
  await storage.try(`remove the unfinished ${path}`, signal, async () => {
    await removeFile(storage.client, temporary, signal);
    if (lock) await removeTree(storage.client, commitFolder(names), signal);
    await pruneFolders(storage, names, signal);
  });
}
