import { orAbort } from '../abort.ts';
import { joinPath, MANIFEST_FILE, REMOVAL_FILE } from '../backupset/names.ts';
import { findSetFolders, type SetFolderFound } from '../backupset/orphans.ts';
import { removeFiles } from '../backupset/remove-files.ts';
import type { DestinationDriver, PendingObject } from '../destinations/driver.ts';
import { StorageTurn } from '../destinations/storage-turn.ts';
import { BackupError, throwIfAborted, toBackupError } from '../errors.ts';

/** How long a storage may take for one step, in ms. */
const STALL_MS = 60_000;

export interface SetRemoval {
  readonly driver: DestinationDriver;
  /** Folder under the storage's root that holds the folders of the jobs. */
  readonly prefix: string;
  /** Folder of the set below the storage's root. */
  readonly path: string;
  /** Why it goes, for whoever finds what a killed removal has left. */
  readonly reason: string;
  /** By the clock of this host. */
  readonly now: Date;
  /** True while this process writes to that folder. */
  isWriting(): boolean;
  readonly signal: AbortSignal;
}

/**
 * Removes a set. First a mark is left in its folder, which tells a sweep what it has before it should the removal be
 * interrupted. Then the manifest goes, and the set exists no more; then the other files, in the reverse of the order in
 * which they came, and the mark at last.
 * @returns what could not be removed when the manifest was gone; a later sweep does that
 * @throws BackupError when the set is still there
 */
export async function removeSet(removal: SetRemoval): Promise<BackupError | undefined> {
  const { driver, path, signal } = removal;
  await leaveMark(removal);
  await inTurn(removal, MANIFEST_FILE, (turn) => driver.remove(joinPath(path, MANIFEST_FILE), turn));
  try {
    return await removeRest(removal);
  } catch (error) {
    throwIfAborted(signal);
    return toBackupError(error);
  }
}

/** Takes back the mark of a removal that did not come further. */
export async function removeMark({ driver, path, signal }: Pick<SetRemoval, 'driver' | 'path' | 'signal'>) {
  await inTurn({ driver, path, signal }, REMOVAL_FILE, (turn) =>
    driver.remove(joinPath(path, REMOVAL_FILE), turn),
  );
}

/** Without the files that a person has put there. */
export function ofSet(folder: SetFolderFound): SetFolderFound {
  return { ...folder, files: folder.files.filter(({ kind }) => kind !== undefined) };
}

async function removeRest({ driver, prefix, path, isWriting, signal }: SetRemoval) {
  // Listed anew: somebody may have written a note meanwhile.
  const [folder] = await findSetFolders(prefix, driver.list(path, signal));
  if (folder === undefined) return undefined;
  const left = folder.hasManifest
    ? { reason: 'its manifest is still listed' }
    : await removeFiles(driver, ofSet(folder), { isWriting, signal });
  if (left === undefined) return undefined;
  return new BackupError('incomplete', `${path} was not removed wholly: ${left.reason}`);
}

/** Where nothing fits any more the removal goes on without: it makes room. */
async function leaveMark(removal: SetRemoval): Promise<void> {
  const { driver, path, reason, now } = removal;
  const mark = { format: 'dbackup-removal', version: 1, at: now.toISOString(), reason };
  const bytes = Buffer.from(`${JSON.stringify(mark, null, 2)}\n`);
  const place = joinPath(path, REMOVAL_FILE);
  let pending: PendingObject | undefined;
  try {
    await inTurn(removal, REMOVAL_FILE, async (turn) => {
      const writing = { signal: turn, expectedBytes: bytes.length, replace: true };
      pending = await driver.write(place, once(bytes), writing);
      await pending.commit();
    });
  } catch (error) {
    await pending?.abort().catch(() => undefined);
    throwIfAborted(removal.signal);
    if (toBackupError(error).code !== 'no-space') throw error;
  }
}

/** Gives up on a storage that hangs. */
async function inTurn<T>(
  { driver, path, signal }: Pick<SetRemoval, 'driver' | 'path' | 'signal'>,
  file: string,
  work: (turn: AbortSignal) => Promise<T>,
): Promise<T> {
  const complaint = `${driver.describe()} did not answer while ${joinPath(path, file)} was being removed`;
  const turn = new StorageTurn({ complaint, stallMs: STALL_MS, signal });
  turn.begin();
  try {
    return await orAbort(work(turn.signal), turn.signal);
  } finally {
    turn.close();
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, undefined> {
  yield bytes;
}
