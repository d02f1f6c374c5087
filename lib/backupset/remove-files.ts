import { orAbort } from '../abort.ts';
import type { DestinationDriver } from '../destinations/driver.ts';
import { joinPath, MANIFEST_FILE } from './names.ts';
import { BUSY, inRemovalOrder, type Reprieve, ROUNDING_MS, type SetFolderFound } from './orphans.ts';

export interface FileRemoval {
  /** True while this process writes to that folder. */
  isWriting(): boolean;
  readonly signal: AbortSignal;
}

/**
 * Removes the files of a folder that is no set, or none any more; looks before each whether it came to life.
 * @returns why the rest was left alone, when it did
 * @throws BackupError when the storage refuses a removal
 */
export async function removeFiles(
  driver: DestinationDriver,
  folder: SetFolderFound,
  { isWriting, signal }: FileRemoval,
): Promise<Reprieve | undefined> {
  const stat = (path: string) => orAbort(driver.stat(path, signal), signal);
  for (const { path, bytes, modified } of inRemovalOrder(folder)) {
    if (isWriting()) return BUSY;
    if ((await stat(joinPath(folder.path, MANIFEST_FILE))) !== undefined) return MEANWHILE;
    const found = await stat(path);
    if (found === undefined) continue;
    const isNew = found.modified.getTime() > modified.getTime() + ROUNDING_MS;
    if (isNew || found.bytes !== bytes) return MEANWHILE;
    await orAbort(driver.remove(path, signal), signal);
  }
  return undefined;
}

const MEANWHILE: Reprieve = { why: 'busy', reason: 'somebody has just written to it' };
