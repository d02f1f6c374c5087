import { BackupError, throwIfAborted } from '../../errors.ts';
import type { ObjectInfo } from '../driver.ts';
import { isObjectName, splitFolderPath, splitObjectPath } from '../path.ts';
import { isActive, isTemporaryName } from '../temporary-names.ts';
import type { FtpConnection } from './connection.ts';
import type { Entry } from './entries.ts';
import { replyCode, saysMissing } from './failures.ts';
import { dated, hasRoot, listFolder, look, pathOf, pruneFolders } from './folders.ts';
import type { FtpStorage } from './storage.ts';

/** See the port's `list`. */
export async function* listObjects(
  storage: FtpStorage,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo, void> {
  for await (const { names, entry } of entriesBelow(storage, prefix, signal, isObjectName)) {
    if (entry.type !== 'file' || entry.modified === undefined) continue;
    yield { path: [...names, entry.name].join('/'), bytes: entry.bytes, modified: entry.modified };
  }
}

/** See the port's `stat`. */
export async function statObject(
  storage: FtpStorage,
  path: string,
  signal: AbortSignal,
): Promise<ObjectInfo | undefined> {
  throwIfAborted(signal);
  const names = splitObjectPath(path);
  const found = await storage.use(`look up ${path}`, signal, async (connection) => {
    const entry = await look(connection, names, signal);
    if (entry === undefined) await hasRoot(connection, signal);
    return entry;
  });
  if (found?.type === 'link') throw linkRefused(path);
  if (found?.type !== 'file' || found.modified === undefined) return undefined;
  return { path, bytes: found.bytes, modified: found.modified };
}

/** See the port's `remove`. */
export async function removeObject(storage: FtpStorage, path: string, signal: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  const names = splitObjectPath(path);
  await storage.use(`remove ${path}`, signal, async (connection) => {
    try {
      await connection.command(`DELE ${pathOf(connection, names)}`, signal);
    } catch (error) {
      if (replyCode(error) === undefined) throw error;
      const found = await look(connection, names, signal);
      if (found?.type === 'folder') {
        throw new BackupError('invalid-config', `${path} is a folder, not an object`);
      }
      if (found !== undefined) throw error;
      if (!(await hasRoot(connection, signal))) return;
    }
    await pruneFolders(connection, names.slice(0, -1), signal);
  });
}

/** See the port's `unfinished`. */
export async function* listUnfinished(
  storage: FtpStorage,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo, void> {
  for await (const { names, entry } of temporariesBelow(storage, prefix, signal)) {
    const { name, bytes, modified } = entry;
    if (modified !== undefined) yield { path: [...names, name].join('/'), bytes, modified };
  }
}

/** See the port's `sweep`. */
export async function sweepTemporaries(
  storage: FtpStorage,
  olderThan: Date,
  signal: AbortSignal,
): Promise<string[]> {
  const stale: FoundEntry[] = [];
  for await (const found of temporariesBelow(storage, '', signal)) {
    const { name, modified } = found.entry;
    if (!isActive(name) && modified !== undefined && modified < olderThan) stale.push(found);
  }
  const swept: string[] = [];
  for (const { names, entry } of stale) {
    const path = [...names, entry.name];
    await storage.use(`remove ${path.join('/')}`, signal, async (connection) => {
      await removeStale(connection, path, entry.type, signal);
      await pruneFolders(connection, names, signal);
    });
    swept.push(path.join('/'));
  }
  return swept;
}

async function removeStale(
  connection: FtpConnection,
  path: readonly string[],
  type: Entry['type'],
  signal: AbortSignal,
): Promise<void> {
  try {
    await connection.command(`${type === 'folder' ? 'RMD' : 'DELE'} ${pathOf(connection, path)}`, signal);
  } catch (error) {
    // Gone by itself in between.
    if (replyCode(error) === undefined || (await look(connection, path, signal)) !== undefined) throw error;
  }
}

interface FoundEntry {
  /** Folders from the storage's own to the one that holds the entry. */
  readonly names: readonly string[];
  readonly entry: Entry;
}

/** Files and locks of unfinished writes. */
async function* temporariesBelow(
  storage: FtpStorage,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<FoundEntry, void> {
  const wanted = (name: string) => isObjectName(name) || isTemporaryName(name);
  for await (const found of entriesBelow(storage, prefix, signal, wanted)) {
    if (isTemporaryName(found.entry.name)) yield found;
  }
}

/** Everything below a folder whose name is wanted; some folders are listed at the same time. */
async function* entriesBelow(
  storage: FtpStorage,
  prefix: string,
  signal: AbortSignal,
  wanted: (name: string) => boolean,
): AsyncGenerator<FoundEntry, void> {
  throwIfAborted(signal);
  let folders: (readonly string[])[] = [splitFolderPath(prefix)];
  while (folders.length > 0) {
    const batch = folders.splice(0, storage.options.connections);
    const listed = await Promise.all(
      batch.map(async (names) => ({ names, entries: await entriesIn(storage, names, signal, wanted) })),
    );
    const deeper: (readonly string[])[] = [];
    for (const { names, entries } of listed) {
      for (const entry of entries) {
        if (entry.type === 'link') throw linkRefused([...names, entry.name].join('/'));
        // A lock of ours is a folder with a hidden name: it is an entry, but not entered.
        if (entry.type === 'folder' && isObjectName(entry.name)) deeper.push([...names, entry.name]);
        else yield { names, entry };
      }
    }
    // Depth first, so that few folders wait.
    folders = [...deeper, ...folders];
  }
}

async function entriesIn(
  storage: FtpStorage,
  names: readonly string[],
  signal: AbortSignal,
  wanted: (name: string) => boolean,
): Promise<Entry[]> {
  return await storage.use(`list ${names.join('/') || 'the folder'}`, signal, async (connection) => {
    let entries: Entry[];
    try {
      entries = await listFolder(connection, pathOf(connection, names), signal);
    } catch (error) {
      if (replyCode(error) === undefined) throw error;
      if (await isThere(connection, names, error, signal)) throw error;
      return [];
    }
    const kept: Entry[] = [];
    for (const entry of entries) {
      if (!wanted(entry.name)) continue;
      kept.push(
        entry.type === 'file' ? await withTime(connection, [...names, entry.name], entry, signal) : entry,
      );
    }
    return kept.filter((entry) => entry.type !== 'file' || entry.modified !== undefined);
  });
}

async function isThere(
  connection: FtpConnection,
  names: readonly string[],
  refusal: unknown,
  signal: AbortSignal,
): Promise<boolean> {
  if (!(await hasRoot(connection, signal))) return false;
  if (names.length === 0) return true;
  return !saysMissing(refusal) && (await look(connection, names, signal)) !== undefined;
}

/** Without a time when the file is gone by now. */
async function withTime(
  connection: FtpConnection,
  names: readonly string[],
  entry: Entry,
  signal: AbortSignal,
): Promise<Entry> {
  if (entry.modified !== undefined) return entry;
  try {
    return { ...entry, ...(await dated(connection, pathOf(connection, names), signal)) };
  } catch (error) {
    if (replyCode(error) === undefined) throw error;
    if ((await look(connection, names, signal)) === undefined) return entry;
    throw error;
  }
}

function linkRefused(path: string): BackupError {
  return new BackupError(
    'invalid-config',
    `${path} is a symbolic link on the FTP server: links are not followed there, remove it or choose another folder`,
  );
}
