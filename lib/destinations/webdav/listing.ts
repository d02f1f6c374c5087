import { BackupError, throwIfAborted } from '../../errors.ts';
import type { ObjectInfo } from '../driver.ts';
import { isObjectName, splitFolderPath, splitObjectPath } from '../path.ts';
import { isActive, isTemporaryName } from '../temporary-names.ts';
import { sweepUploads, uploadsUrl } from './chunked.ts';
import { pruneFolders } from './folders-in-use.ts';
import { type Entry, listFolder, look, removeFile, removeIfEmpty } from './resources.ts';
import type { WebdavStorage } from './storage.ts';

/** See the port's `list`. */
export async function* listObjects(
  storage: WebdavStorage,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo, void> {
  for await (const { names, entry } of entriesBelow(storage, prefix, signal)) {
    const { name, type, bytes, modified } = entry;
    if (type === 'file' && isObjectName(name)) yield { path: [...names, name].join('/'), bytes, modified };
  }
}

/** See the port's `stat`. */
export async function statObject(
  storage: WebdavStorage,
  path: string,
  signal: AbortSignal,
): Promise<ObjectInfo | undefined> {
  const found = await entryAt(storage, path, signal);
  return found && { path, bytes: found.bytes, modified: found.modified };
}

/** The file with that path. */
export async function entryAt(
  storage: WebdavStorage,
  path: string,
  signal: AbortSignal,
): Promise<Entry | undefined> {
  throwIfAborted(signal);
  const names = splitObjectPath(path);
  return await storage.try(`look up ${path}`, signal, async () => {
    const entry = await look(storage.client, names, signal);
    if (entry === undefined) await storage.hasRoot(signal);
    return entry?.type === 'file' ? entry : undefined;
  });
}

/** See the port's `remove`. */
export async function removeObject(storage: WebdavStorage, path: string, signal: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  const names = splitObjectPath(path);
  await storage.try(`remove ${path}`, signal, async () => {
    // DELETE would take a folder away with everything in it.
    const found = await look(storage.client, names, signal);
    if (found?.type === 'folder')
      throw new BackupError('invalid-config', `${path} is a folder, not an object`);
    if (found !== undefined) await removeFile(storage.client, names, signal);
    else if (!(await storage.hasRoot(signal))) return;
    await pruneFolders(storage, names, signal);
  });
}

/** See the port's `unfinished`. Chunks that a Nextcloud has not assembled belong to no folder. */
export async function* listUnfinished(
  storage: WebdavStorage,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo, void> {
  for await (const { names, entry } of entriesBelow(storage, prefix, signal)) {
    const { name, bytes, modified } = entry;
    if (isTemporaryName(name)) yield { path: [...names, name].join('/'), bytes, modified };
  }
}

/** See the port's `sweep`. */
export async function sweepTemporaries(
  storage: WebdavStorage,
  olderThan: Date,
  signal: AbortSignal,
): Promise<string[]> {
  const stale: FoundEntry[] = [];
  for await (const found of entriesBelow(storage, '', signal)) {
    const { name, modified } = found.entry;
    if (isTemporaryName(name) && !isActive(name) && modified < olderThan) stale.push(found);
  }
  const uploads = uploadsUrl(storage.client.base);
  const swept =
    uploads === undefined
      ? []
      : await storage.try('list unfinished uploads', signal, () =>
          sweepUploads(storage.client, uploads, olderThan, signal),
        );
  for (const { names, entry } of stale) {
    const path = [...names, entry.name];
    await storage.try(`remove ${path.join('/')}`, signal, async () => {
      // A hidden folder is a lock, or was about to be removed; in one that is not empty lies what must be kept.
      const isGone = entry.type === 'file' || (await removeIfEmpty(storage.client, path, signal));
      if (entry.type === 'file') await removeFile(storage.client, path, signal);
      if (isGone) swept.push(path.join('/'));
      await pruneFolders(storage, path, signal);
    });
  }
  return swept;
}

interface FoundEntry {
  /** Folders from the storage's own to the one that holds the entry. */
  readonly names: readonly string[];
  readonly entry: Entry;
}

/** Everything below a folder that is ours; some folders are listed at the same time. */
async function* entriesBelow(
  storage: WebdavStorage,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<FoundEntry, void> {
  throwIfAborted(signal);
  let folders: (readonly string[])[] = [splitFolderPath(prefix)];
  while (folders.length > 0) {
    const batch = folders.splice(0, storage.options.connections);
    const listed = await Promise.all(
      batch.map(async (names) => ({ names, entries: await entriesIn(storage, names, signal) })),
    );
    const deeper: (readonly string[])[] = [];
    for (const { names, entries } of listed) {
      for (const entry of entries) {
        if (entry.type === 'folder' && isObjectName(entry.name)) deeper.push([...names, entry.name]);
        else if (isObjectName(entry.name) || isTemporaryName(entry.name)) yield { names, entry };
      }
    }
    // Depth first, so that few folders wait.
    folders = [...deeper, ...folders];
  }
}

async function entriesIn(
  storage: WebdavStorage,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Entry[]> {
  return await storage.try(`list ${names.join('/') || 'the folder'}`, signal, async () => {
    const entries = await listFolder(storage.client, names, signal);
    if (entries === undefined) await storage.hasRoot(signal);
    return entries ?? [];
  });
}
