import { posix } from 'node:path';
import type { FileEntryWithStats, Stats } from 'ssh2';
import { orAbort } from '../../abort.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import type { ObjectInfo } from '../driver.ts';
import { isOfTheFileSystem } from '../local/paths.ts';
import { isObjectName, splitFolderPath, splitObjectPath } from '../path.ts';
import { isActive, isTemporaryName } from '../temporary-names.ts';
import type { SftpChannel } from './channel.ts';
import { isMissing, isStatus } from './failures.ts';
import {
  hasRoot,
  linkRefused,
  look,
  pathOf,
  pruneFolders,
  realPath,
  refuseLinkedFolders,
  syncFolder,
  undefinedIfMissing,
} from './folders.ts';
import type { SftpStorage } from './storage.ts';

/** Folders that are read at the same time. */
const FOLDERS_AT_ONCE = 16;
/** READDIR requests that are under way for one folder; OpenSSH answers each with a hundred names. */
const PAGES_AT_ONCE = 4;
/** How often a folder that others make and remove is looked at before a refusal counts. */
const LOOKS = 3;

/** See the port's `list`. */
export async function* listObjects(
  storage: SftpStorage,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo, void> {
  for await (const { names, name, stats } of entriesBelow(storage, prefix, signal)) {
    if (!stats.isFile() || !isObjectName(name)) continue;
    yield { path: [...names, name].join('/'), bytes: stats.size, modified: modifiedOf(stats) };
  }
}

/** See the port's `stat`. */
export async function statObject(
  storage: SftpStorage,
  path: string,
  signal: AbortSignal,
): Promise<ObjectInfo | undefined> {
  throwIfAborted(signal);
  const names = splitObjectPath(path);
  return await storage.use(`look up ${path}`, signal, (channel) => infoOf(storage, channel, names));
}

/** @throws BackupError `invalid-config` for a link; the server's refusal as it came */
export async function infoOf(
  storage: SftpStorage,
  channel: SftpChannel,
  names: readonly string[],
): Promise<ObjectInfo | undefined> {
  const path = names.join('/');
  const [found] = await Promise.all([look(channel, names), refuseLinkedFolders(channel, names.slice(0, -1))]);
  if (found === undefined) await hasRoot(storage, channel);
  if (found?.isSymbolicLink()) throw linkRefused(path);
  return found?.isFile() ? { path, bytes: found.size, modified: modifiedOf(found) } : undefined;
}

/** See the port's `remove`. */
export async function removeObject(storage: SftpStorage, path: string, signal: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  const names = splitObjectPath(path);
  const folders = names.slice(0, -1);
  await storage.use(`remove ${path}`, signal, async (channel) => {
    const [found] = await Promise.all([look(channel, names), refuseLinkedFolders(channel, folders)]);
    throwIfAborted(signal);
    if (found === undefined && !(await hasRoot(storage, channel))) return;
    if (found?.isSymbolicLink()) throw linkRefused(path);
    if (found?.isDirectory()) throw new BackupError('invalid-config', `${path} is a folder, not an object`);
    if (found !== undefined) {
      await undefinedIfMissing(channel.unlink(pathOf(channel, names)));
      // Durable before the next removal: a manifest must not come back after its artifacts are gone.
      await syncFolder(channel, folders);
    }
    await pruneFolders(channel, folders);
  });
}

/** See the port's `unfinished`. */
export async function* listUnfinished(
  storage: SftpStorage,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo, void> {
  for await (const { names, name, stats } of entriesBelow(storage, prefix, signal)) {
    if (!isTemporaryName(name)) continue;
    const bytes = stats.isFile() ? stats.size : 0;
    yield { path: [...names, name].join('/'), bytes, modified: modifiedOf(stats) };
  }
}

/** See the port's `sweep`. */
export async function sweepTemporaries(
  storage: SftpStorage,
  olderThan: Date,
  signal: AbortSignal,
): Promise<string[]> {
  const stale: FoundEntry[] = [];
  for await (const found of entriesBelow(storage, '', signal)) {
    const { name, stats } = found;
    if (isTemporaryName(name) && !isActive(name) && modifiedOf(stats) < olderThan) stale.push(found);
  }
  const swept: string[] = [];
  for (const { names, name, stats } of stale) {
    const path = [...names, name];
    await storage.use(`remove ${path.join('/')}`, signal, async (channel) => {
      throwIfAborted(signal);
      const target = pathOf(channel, path);
      try {
        await (stats.isDirectory() ? channel.rmdir(target) : channel.unlink(target));
      } catch (error) {
        // Gone by itself in between.
        if (!isStatus(error) || (await look(channel, path)) !== undefined) throw error;
      }
      await pruneFolders(channel, names);
    });
    swept.push(path.join('/'));
  }
  return swept;
}

interface FoundEntry {
  /** Folders from the storage's own to the one that holds the entry. */
  readonly names: readonly string[];
  readonly name: string;
  readonly stats: Stats;
}

/** Everything below a folder that an object, or what is unfinished of one, can be; some folders are read at once. */
async function* entriesBelow(
  storage: SftpStorage,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<FoundEntry, void> {
  throwIfAborted(signal);
  let folders: (readonly string[])[] = [splitFolderPath(prefix)];
  const read = (names: readonly string[]) =>
    storage.use(`list ${names.join('/') || 'the folder'}`, signal, (channel) =>
      entriesIn(storage, channel, names, signal),
    );
  while (folders.length > 0) {
    const batch = folders.splice(0, FOLDERS_AT_ONCE);
    const deeper: (readonly string[])[] = [];
    for (const found of (await Promise.all(batch.map(read))).flat()) {
      // A lock of ours is a folder with a hidden name: it is an entry, but not entered.
      if (found.stats.isDirectory() && isObjectName(found.name)) deeper.push([...found.names, found.name]);
      else yield found;
    }
    // Depth first, so that few folders wait.
    folders = [...deeper, ...folders];
  }
}

async function entriesIn(
  storage: SftpStorage,
  channel: SftpChannel,
  names: readonly string[],
  signal: AbortSignal,
): Promise<FoundEntry[]> {
  const entries = await listedOrMissing(storage, channel, names, signal);
  const found: FoundEntry[] = [];
  for (const { filename: name, attrs } of entries) {
    if (!isObjectName(name) && !isTemporaryName(name)) continue;
    if (names.length === 0 && isOfTheFileSystem(name)) continue;
    const stats = isWhole(attrs) ? attrs : await look(channel, [...names, name]);
    if (stats?.isSymbolicLink()) await refuseLinkOut(channel, names, name);
    else if (stats?.isFile() || stats?.isDirectory()) found.push({ names, name, stats });
  }
  return found;
}

/** The entries of a folder; none when there is no such folder. @throws the server's refusal as it came */
async function listedOrMissing(
  storage: SftpStorage,
  channel: SftpChannel,
  names: readonly string[],
  signal: AbortSignal,
): Promise<FileEntryWithStats[]> {
  for (let attempt = 1; ; attempt += 1) {
    if (names.length === 0 && !(await hasRoot(storage, channel))) return [];
    await refuseLinkedFolders(channel, names);
    try {
      return await readFolder(channel, pathOf(channel, names), signal);
    } catch (error) {
      if (!isMissing(error)) throw error;
      await hasRoot(storage, channel);
      if (!(await look(channel, names))?.isDirectory()) return [];
      // Others may have removed and made it meanwhile.
      if (attempt === LOOKS) throw error;
    }
  }
}

async function readFolder(
  channel: SftpChannel,
  path: string,
  signal: AbortSignal,
): Promise<FileEntryWithStats[]> {
  const handle = await orAbort(channel.opendir(path), signal);
  const entries: FileEntryWithStats[] = [];
  let ended = false;
  const readPages = async () => {
    while (!ended) {
      const page = await orAbort(channel.readdir(handle), signal);
      if (page === undefined) ended = true;
      else entries.push(...page);
    }
  };
  try {
    await Promise.all(Array.from({ length: PAGES_AT_ONCE }, readPages));
    return entries;
  } finally {
    ended = true;
    channel.closeFile(handle).catch(() => undefined);
  }
}

/** Attributes are optional in the protocol. */
function isWhole({ mode, size, mtime }: Partial<Stats>): boolean {
  return mode !== undefined && size !== undefined && mtime !== undefined;
}

function modifiedOf({ mtime }: Stats): Date {
  return new Date(mtime * 1000);
}

/**
 * A link is no object and is not followed. One that leads out of the storage, or nowhere, may stand for a folder
 * full of backups on another disk: leaving it out silently would be a short listing.
 */
async function refuseLinkOut(channel: SftpChannel, names: readonly string[], name: string): Promise<void> {
  const [root = channel.root, folder = pathOf(channel, names), text] = await Promise.all([
    realPath(channel, pathOf(channel, [])),
    realPath(channel, pathOf(channel, names)),
    undefinedIfMissing(channel.readlink(pathOf(channel, [...names, name]))),
  ]);
  if (text === undefined) return;
  const target = posix.resolve(`${folder}/`, text);
  const real = (await realPath(channel, target)) ?? target;
  if (real === root || real.startsWith(`${root}/`)) return;
  throw new BackupError(
    'invalid-config',
    `${[...names, name].join('/')} is a symbolic link out of the storage: links are not followed, use a bind mount or remove it`,
  );
}
