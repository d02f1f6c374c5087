import type { Dir, Stats } from 'node:fs';
import { lstat, opendir, readlink, realpath } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { isObjectName } from '../path.ts';
import { isTemporaryName } from '../temporary-names.ts';
import { fileError, isErrno } from './errors.ts';
import type { Folder } from './folder.ts';
import { isOfTheFileSystem } from './paths.ts';

/** Entries that are looked up at the same time. */
const BATCH = 64;
/** A file found below the root: an object, or the temporary file of one. */
export interface FoundFile {
  readonly folder: Folder;
  readonly name: string;
  /** Path relative to the root, with `/`. */
  readonly path: string;
  readonly stats: Stats;
}

/**
 * Every file below `folder`, at any depth. The folder of a result is open only until the next one is
 * asked for. Files and folders that vanish meanwhile are left out; everything else that cannot be read
 * is an error, for a listing that lacks something would be taken for the whole.
 * @param rootPath real path of the storage's root
 * @param path path of `folder` relative to the root, empty for the root itself
 */
export async function* walkFiles(
  rootPath: string,
  folder: Folder,
  path: string,
  signal: AbortSignal,
): AsyncGenerator<FoundFile, void> {
  const folders: string[] = [];
  for await (const names of namesIn(folder, path, signal)) {
    const found = await Promise.all(names.map(async (name) => ({ name, stats: await lookUp(folder, name) })));
    for (const { name, stats } of found) {
      if (stats === undefined) continue;
      if (stats.isSymbolicLink()) await refuseLinkOut(rootPath, folder, name);
      else if (stats.isDirectory()) folders.push(name);
      else if (stats.isFile()) yield { folder, name, path: under(path, name), stats };
    }
  }
  for (const name of folders) {
    throwIfAborted(signal);
    // A hidden folder is not ours.
    if (!isObjectName(name)) continue;
    const child = await openIfThere(folder, name);
    if (child === undefined) continue;
    try {
      yield* walkFiles(rootPath, child, under(path, name), signal);
    } finally {
      await child.close();
    }
  }
}

async function* namesIn(folder: Folder, path: string, signal: AbortSignal): AsyncGenerator<string[], void> {
  let batch: string[] = [];
  try {
    const entries: Dir = await opendir(folder.self, { bufferSize: BATCH });
    for await (const { name } of entries) {
      throwIfAborted(signal);
      if (!isObjectName(name) && !isTemporaryName(name)) continue;
      if (path === '' && isOfTheFileSystem(name)) continue;
      batch.push(name);
      if (batch.length < BATCH) continue;
      yield batch;
      batch = [];
    }
  } catch (error) {
    throw fileError(error, 'list', folder.path);
  }
  yield batch;
}

async function lookUp(folder: Folder, name: string): Promise<Stats | undefined> {
  try {
    return await lstat(folder.at(name));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw fileError(error, 'look up', folder.pathOf(name));
  }
}

async function openIfThere(folder: Folder, name: string): Promise<Folder | undefined> {
  try {
    return await folder.openChild(name);
  } catch (error) {
    if (error instanceof BackupError && error.code === 'not-found') return undefined;
    throw error;
  }
}

/**
 * A link is no object and is not followed. One that leads out of the root, or nowhere, may stand for a
 * folder full of backups on another disk: leaving it out silently would be a short listing.
 */
async function refuseLinkOut(rootPath: string, folder: Folder, name: string): Promise<void> {
  const target = await realpath(folder.at(name)).catch(async () => await resolveDangling(folder, name));
  const toTarget = relative(rootPath, target);
  if (toTarget !== '..' && !toTarget.startsWith(`..${sep}`)) return;
  throw new BackupError(
    'invalid-config',
    `${folder.pathOf(name)} is a symbolic link out of the storage: links are not followed, use a bind mount or remove it`,
  );
}

async function resolveDangling(folder: Folder, name: string): Promise<string> {
  try {
    return resolve(await realpath(folder.self), await readlink(folder.at(name)));
  } catch (error) {
    throw fileError(error, 'look up', folder.pathOf(name));
  }
}

function under(path: string, name: string): string {
  return path === '' ? name : join(path, name).replaceAll(sep, '/');
}
