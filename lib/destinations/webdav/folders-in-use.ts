import { removeIfEmpty } from './resources.ts';
import type { WebdavStorage } from './storage.ts';

/** URLs of folders in which this process is writing, and how many objects in each. */
const inUse = new Map<string, number>();
/** Folders that are being removed, if empty. */
const removing = new Map<string, Promise<unknown>>();

/**
 * Keeps the folders of an object from being removed by this process while it is written: WebDAV cannot say
 * "only if empty", and an object that appears in a folder that is on its way out has a hard time.
 * @returns ends it
 */
export async function keepFolders(storage: WebdavStorage, names: readonly string[]): Promise<() => void> {
  const folders = foldersOf(storage, names);
  for (const folder of folders) inUse.set(folder, (inUse.get(folder) ?? 0) + 1);
  await Promise.all(folders.map((folder) => removing.get(folder)));
  let ended = false;
  return () => {
    if (ended) return;
    ended = true;
    for (const folder of folders) {
      const count = (inUse.get(folder) ?? 1) - 1;
      if (count > 0) inUse.set(folder, count);
      else inUse.delete(folder);
    }
  };
}

/** Removes the folders of an object that are empty and not in use, but not the storage's own. */
export async function pruneFolders(
  storage: WebdavStorage,
  names: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const urls = foldersOf(storage, names);
  for (let depth = names.length - 1; depth > 0; depth -= 1) {
    const url = urls[depth - 1] as string;
    await removing.get(url);
    if (inUse.has(url)) return;
    const work = removeIfEmpty(storage.client, names.slice(0, depth), signal);
    const ended = work.catch(() => undefined);
    removing.set(url, ended);
    try {
      if (!(await work)) return;
    } finally {
      if (removing.get(url) === ended) removing.delete(url);
    }
  }
}

/** URLs of the folders of an object, from the one below the storage's own to the one that holds it. */
function foldersOf({ client }: WebdavStorage, names: readonly string[]): string[] {
  return names.slice(0, -1).map((_, index) => client.url(names.slice(0, index + 1), { folder: true }).href);
}
