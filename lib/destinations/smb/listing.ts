import { BackupError, throwIfAborted } from '../../errors.ts';
import type { ObjectInfo } from '../driver.ts';
import { isActive, isTemporaryName } from '../temporary-names.ts';
import type { Entry } from './entries.ts';
import { isRefusal, saysMissing } from './failures.ts';
import { freeBytes, hasRoot, listFolder, look, pruneFolders, quoted } from './folders.ts';
import { fromShare, shareFolderNames, shareNames } from './names.ts';
import type { SmbSession } from './session.ts';
import type { SmbStorage } from './storage.ts';

/** See the port's `list`. */
export async function* listObjects(
  storage: SmbStorage,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo, void> {
  for await (const { names, entry } of entriesBelow(storage, prefix, signal)) {
    const path = objectPath([...names, entry.name]);
    if (entry.type === 'file' && path !== undefined)
      yield { path, bytes: entry.bytes, modified: entry.modified };
  }
}

/** See the port's `stat`. */
export async function statObject(
  storage: SmbStorage,
  path: string,
  signal: AbortSignal,
): Promise<ObjectInfo | undefined> {
  throwIfAborted(signal);
  const names = shareNames(path);
  const found = await storage.use(`look up ${path}`, signal, async (session) => {
    const entry = await look(session, names, signal);
    if (entry === undefined) await hasRoot(session, signal);
    return entry;
  });
  if (found?.type !== 'file') return undefined;
  return { path, bytes: found.bytes, modified: found.modified };
}

/** See the port's `remove`. */
export async function removeObject(storage: SmbStorage, path: string, signal: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  const names = shareNames(path);
  await storage.use(`remove ${path}`, signal, async (session) => {
    if (await removeFile(session, names, signal)) await pruneFolders(session, names.slice(0, -1), signal);
    else await hasRoot(session, signal);
  });
}

/** See the port's `freeSpace`. */
export async function freeSpace(storage: SmbStorage, signal: AbortSignal): Promise<number | undefined> {
  throwIfAborted(signal);
  return await storage.use('ask for the free space', signal, (session) => freeBytes(session, signal));
}

/** See the port's `unfinished`. */
export async function* listUnfinished(
  storage: SmbStorage,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo, void> {
  for await (const { names, entry } of entriesBelow(storage, prefix, signal)) {
    const { name, bytes, modified } = entry;
    if (isTemporaryName(name)) yield { path: shownPath(names, name), bytes, modified };
  }
}

/** See the port's `sweep`. */
export async function sweepTemporaries(
  storage: SmbStorage,
  olderThan: Date,
  signal: AbortSignal,
): Promise<string[]> {
  const stale: FoundEntry[] = [];
  for await (const found of entriesBelow(storage, '', signal)) {
    const { name, modified } = found.entry;
    if (isTemporaryName(name) && !isActive(name) && modified < olderThan) stale.push(found);
  }
  const swept: string[] = [];
  for (const { names, entry } of stale) {
    const path = [...names, entry.name];
    await storage.use(`remove ${path.join('/')}`, signal, async (session) => {
      if (entry.type === 'file') await removeFile(session, path, signal);
      else await removeFolder(session, path, signal);
      await pruneFolders(session, names, signal);
    });
    swept.push(shownPath(names, entry.name));
  }
  return swept;
}

/**
 * Removes a file.
 * @returns false when there is none
 * @throws BackupError `invalid-config` for a folder; SmbRefusal
 */
export async function removeFile(
  session: SmbSession,
  names: readonly string[],
  signal: AbortSignal,
): Promise<boolean> {
  // smbclient removes what fits a pattern, which a short name of another file does too.
  const found = await look(session, names, signal);
  if (found === undefined) return false;
  if (found.type !== 'file') {
    throw new BackupError('invalid-config', `${names.join('/')} is a folder, not an object`);
  }
  try {
    await session.order(`del ${quoted(session, names)}`, signal);
    return true;
  } catch (error) {
    if (saysMissing(error)) return false;
    throw error;
  }
}

async function removeFolder(
  session: SmbSession,
  path: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  try {
    await session.order(`rmdir ${quoted(session, path)}`, signal);
  } catch (error) {
    // Gone by itself in between.
    if (!saysMissing(error)) throw error;
  }
}

interface FoundEntry {
  /** Folders from the storage's own to the one that holds the entry, as they are in the share. */
  readonly names: readonly string[];
  readonly entry: Entry;
}

/** Everything below a folder that is ours; some folders are listed at the same time. */
async function* entriesBelow(
  storage: SmbStorage,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<FoundEntry, void> {
  throwIfAborted(signal);
  let folders: (readonly string[])[] = [shareFolderNames(prefix)];
  while (folders.length > 0) {
    const batch = folders.splice(0, storage.options.connections);
    const listed = await Promise.all(
      batch.map(async (names) => ({ names, entries: await entriesIn(storage, names, signal) })),
    );
    const deeper: (readonly string[])[] = [];
    for (const { names, entries } of listed) {
      for (const entry of entries) {
        const isOurs = fromShare(entry.name) !== undefined;
        if (isOurs && entry.type === 'link') throw linkRefused([...names, entry.name].join('/'));
        // A lock of ours is a folder with a hidden name: it is an entry, but not entered.
        if (isOurs && entry.type === 'folder') deeper.push([...names, entry.name]);
        else if (isOurs || isTemporaryName(entry.name)) yield { names, entry };
      }
    }
    // Depth first, so that few folders wait.
    folders = [...deeper, ...folders];
  }
}

async function entriesIn(
  storage: SmbStorage,
  names: readonly string[],
  signal: AbortSignal,
): Promise<readonly Entry[]> {
  const doing = `list ${names.join('/') || 'the folder'}`;
  return await storage.use(doing, signal, async (session) => {
    try {
      return await listFolder(session, names, signal);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      if (!(await hasRoot(session, signal))) return [];
      // Removed by somebody else, or never there.
      if (saysMissing(error) && (names.length > 0 || storage.options.create)) return [];
      // A file has no entries below it.
      if (isRefusal(error, 'NOT_A_DIRECTORY') && names.length > 0) return [];
      throw error;
    }
  });
}

function shownPath(names: readonly string[], temporary: string): string {
  return [...names.map((name) => fromShare(name) ?? name), temporary].join('/');
}

function objectPath(names: readonly string[]): string | undefined {
  const ours = names.map((name) => fromShare(name));
  return ours.includes(undefined) ? undefined : ours.join('/');
}

function linkRefused(path: string): BackupError {
  return new BackupError(
    'invalid-config',
    `${path} is a junction or mount point in the share: those are not followed, remove it or choose another folder`,
  );
}
