import type { DestinationDriver, ObjectInfo } from '../destinations/driver.ts';
import { type BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import { jobFolder, joinPath, MANIFEST_FILE } from './names.ts';
import { type BackupSet, openBackupSet } from './reader.ts';

export interface Catalog {
  /** Newest first. */
  readonly sets: readonly BackupSet[];
  /** Folders with a manifest that cannot be read. They are not nothing: show them, delete nothing. */
  readonly unreadable: readonly { readonly path: string; readonly error: BackupError }[];
}

export interface CatalogQuery {
  /** Folder under the storage's root, as the destination node has it. */
  readonly prefix: string;
  readonly job?: string;
  readonly signal: AbortSignal;
  /** Called for every object that is listed, whatever it is. */
  readonly onObject?: (object: ObjectInfo) => void;
}

/** Manifests that are read at once. */
const PARALLEL_READS = 8;

/**
 * All committed sets below the prefix, from the storage alone. A set is where its manifest is: a folder that
 * was moved or renamed is found all the same, by a query without `job`. One with `job` finds what lies directly
 * in the job's folder: another destination may store below it.
 * @throws BackupError when the listing fails: a failed listing is never an empty catalogue
 */
export async function listBackupSets(driver: DestinationDriver, query: CatalogQuery): Promise<Catalog> {
  const folders: string[] = [];
  const prefix = query.job === undefined ? query.prefix : jobFolder(query.prefix, query.job);
  for await (const object of driver.list(prefix, query.signal)) {
    query.onObject?.(object);
    const names = object.path.split('/');
    if (names.pop() !== MANIFEST_FILE) continue;
    const folder = joinPath(...names);
    if (query.job === undefined || joinPath(...names.slice(0, -1)) === prefix) folders.push(folder);
  }
  const sets: BackupSet[] = [];
  const unreadable: { path: string; error: BackupError }[] = [];
  const queue = folders.values();
  const readNext = async (): Promise<void> => {
    for (const path of queue) {
      try {
        const set = await openBackupSet(driver, path, query.signal);
        if (query.job === undefined || set.manifest.job === query.job) sets.push(set);
      } catch (error) {
        throwIfAborted(query.signal);
        const problem = toBackupError(error);
        // Removed since it was listed: then it is no set any more, rather than one that cannot be read.
        if (problem.code !== 'not-found') unreadable.push({ path, error: problem });
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_READS }, readNext));
  return { sets: sets.sort(newestFirst), unreadable };
}

function newestFirst(a: BackupSet, b: BackupSet): number {
  return b.manifest.startedAt.localeCompare(a.manifest.startedAt) || b.path.localeCompare(a.path);
}
