import { BackupError, throwIfAborted } from '../../errors.ts';
import type { ObjectInfo } from '../driver.ts';
import { isObjectName, splitFolderPath, splitObjectPath } from '../path.ts';
import { isActive, isTemporaryName } from '../temporary-names.ts';
import { includeTree, NOT_HIDDEN, NOTHING_ELSE } from './filters.ts';
import type { ListedEntry } from './list-format.ts';
import { entriesBelow, linkRefused, look } from './look.ts';
import { deleteExactly } from './place.ts';
import { sweepSpools } from './spool.ts';
import { RootMissing, type RsyncStorage } from './storage.ts';

/** Leftovers that one run deletes: each is some arguments. */
const SWEPT_AT_ONCE = 50;

/** See the port's `list`. */
export async function* listObjects(
  storage: RsyncStorage,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo, void> {
  throwIfAborted(signal);
  const names = splitFolderPath(prefix);
  const rules = [NOT_HIDDEN, ...includeTree(names), NOTHING_ELSE];
  const entries = entriesBelow(storage, `list ${prefix || 'the folder'}`, rules, signal);
  for await (const { type, path, bytes, modified } of unlessMissing(storage, entries)) {
    if (path === undefined || !path.split('/').every(isObjectName)) continue;
    if (type === 'link') throw linkRefused(path);
    if (type === 'file' && isBelow(path, names)) yield { path, bytes, modified };
  }
}

/** See the port's `stat`. */
export async function statObject(
  storage: RsyncStorage,
  path: string,
  signal: AbortSignal,
): Promise<ObjectInfo | undefined> {
  throwIfAborted(signal);
  const entry = await entryAt(storage, `look up ${path}`, splitObjectPath(path), signal);
  return entry?.type === 'file' ? { path, bytes: entry.bytes, modified: entry.modified } : undefined;
}

/** See the port's `remove`. */
export async function removeObject(storage: RsyncStorage, path: string, signal: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  const names = splitObjectPath(path);
  const doing = `remove ${path}`;
  const entry = await entryAt(storage, doing, names, signal);
  if (entry === undefined) return;
  if (entry.type !== 'file') {
    throw new BackupError('invalid-config', `${path} is a folder, not an object`);
  }
  await deleteExactly(storage, doing, { paths: [names], most: names.length }, signal);
}

/** See the port's `unfinished`. */
export async function* listUnfinished(
  storage: RsyncStorage,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo, void> {
  const names = splitFolderPath(prefix);
  for (const { path, bytes, modified } of await leftovers(storage, signal)) {
    if (isBelow(path, names)) yield { path, bytes, modified };
  }
}

/** See the port's `sweep`. */
export async function sweepLeftovers(
  storage: RsyncStorage,
  olderThan: Date,
  signal: AbortSignal,
): Promise<string[]> {
  throwIfAborted(signal);
  await sweepSpools(storage.options.spoolDirectory);
  const found = await leftovers(storage, signal);
  const stale = found.filter(({ id, modified }) => !isActive(id) && modified < olderThan);
  for (let at = 0; at < stale.length; at += SWEPT_AT_ONCE) {
    const batch = stale.slice(at, at + SWEPT_AT_ONCE);
    const trees = batch.filter(({ isLock }) => !isLock).map(({ names }) => names);
    const paths = batch.filter(({ isLock }) => isLock).map(({ names }) => names);
    const most = batch.reduce((sum, { entries, names }) => sum + entries + names.length, 0);
    await deleteExactly(storage, 'remove unfinished files', { trees, paths, most }, signal);
  }
  return stale.map(({ path }) => path);
}

/** What a write or a commit has left, or is using now. */
interface Leftover extends ObjectInfo {
  /** Where a person would look for it: the hidden name beside the object that it was to become. */
  readonly path: string;
  /** The hidden folder of the write. */
  readonly id: string;
  readonly isLock: boolean;
  readonly names: readonly string[];
  /** How many files and folders it has. */
  readonly entries: number;
}

/** The hidden folders are in the storage's own; the locks lie beside the objects that are committed. */
async function leftovers(storage: RsyncStorage, signal: AbortSignal): Promise<Leftover[]> {
  throwIfAborted(signal);
  const rules = ['+ /.*.partial/***', '+ .*.partial', NOT_HIDDEN, '+ */', NOTHING_ELSE];
  const entries = entriesBelow(storage, 'look for unfinished files', rules, signal);
  const stagings = new Map<string, ListedEntry[]>();
  const locks: Leftover[] = [];
  for await (const entry of unlessMissing(storage, entries)) {
    const names = entry.path?.split('/') ?? [];
    const [top = '', ...below] = names;
    if (isTemporaryName(top) && (below.length > 0 || entry.type === 'folder')) {
      stagings.set(top, [...(stagings.get(top) ?? []), entry]);
    } else if (entry.type === 'link' && isTemporaryName(names.at(-1) ?? '')) {
      locks.push(lockOf(entry, names));
    }
  }
  return [...[...stagings].map(([name, inside]) => stagingOf(name, inside)), ...locks];
}

function stagingOf(staging: string, entries: readonly ListedEntry[]): Leftover {
  const deepest = entries.reduce((best, entry) => (depthOf(entry) > depthOf(best) ? entry : best));
  const [, ...inside] = deepest.path?.split('/') ?? [];
  const folders = deepest.type === 'folder' ? inside : inside.slice(0, -1);
  return {
    path: [...folders, staging].join('/'),
    id: staging,
    isLock: false,
    names: [staging],
    entries: entries.length,
    bytes: entries.reduce((sum, { type, bytes }) => sum + (type === 'file' ? bytes : 0), 0),
    modified: new Date(Math.max(...entries.map(({ modified }) => modified.getTime()))),
  };
}

function lockOf({ path = '', target = '', modified }: ListedEntry, names: readonly string[]): Leftover {
  const id = target.slice(target.lastIndexOf('/') + 1);
  return { path, id, isLock: true, names, entries: 1, bytes: 0, modified };
}

function depthOf({ path = '' }: ListedEntry): number {
  return path.split('/').length;
}

async function entryAt(
  storage: RsyncStorage,
  doing: string,
  names: readonly string[],
  signal: AbortSignal,
): Promise<ListedEntry | undefined> {
  try {
    return (await look(storage, doing, names, signal)).entry;
  } catch (error) {
    if (error instanceof RootMissing && storage.options.create) return undefined;
    throw error;
  }
}

/** A folder that is to be made when it is needed is empty until then. */
async function* unlessMissing(
  storage: RsyncStorage,
  entries: AsyncIterable<ListedEntry>,
): AsyncGenerator<ListedEntry, void> {
  try {
    yield* entries;
  } catch (error) {
    if (!(error instanceof RootMissing) || !storage.options.create) throw error;
  }
}

function isBelow(path: string, folder: readonly string[]): boolean {
  return folder.length === 0 || path.startsWith(`${folder.join('/')}/`);
}
