import { lstat, realpath, unlink } from 'node:fs/promises';
import { basename } from 'node:path/posix';
import { BackupError, throwIfAborted } from '../../errors.ts';
import type { ObjectInfo } from '../driver.ts';
import { isActive, isTemporaryName } from '../temporary-names.ts';
import { FolderChain } from './chain.ts';
import { fileError, isErrno } from './errors.ts';
import { linkRefused } from './folder.ts';
import type { LocalOptions } from './options.ts';
import { localFolderPath, localObjectPath } from './paths.ts';
import { openRootForRead } from './root.ts';
import { type FoundFile, walkFiles } from './walk.ts';

/** See the port's `list`. */
export async function* listObjects(
  options: LocalOptions,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo, void> {
  for await (const { name, path, stats } of filesUnder(options, prefix, signal)) {
    if (!isTemporaryName(name)) yield { path, bytes: stats.size, modified: stats.mtime };
  }
}

/** See the port's `unfinished`. */
export async function* listUnfinished(
  options: LocalOptions,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo, void> {
  for await (const { name, path, stats } of filesUnder(options, prefix, signal)) {
    if (isTemporaryName(name)) yield { path, bytes: stats.size, modified: stats.mtime };
  }
}

/** See the port's `sweep`. */
export async function sweepTemporaries(
  options: LocalOptions,
  olderThan: Date,
  signal: AbortSignal,
): Promise<string[]> {
  const stale: string[] = [];
  for await (const { path, modified } of listUnfinished(options, '', signal)) {
    if (modified < olderThan && !isActive(basename(path))) stale.push(path);
  }
  for (const path of stale) {
    throwIfAborted(signal);
    await removeFile(options, path.split('/'), path);
  }
  return stale;
}

/** See the port's `stat`. */
export async function statObject(
  options: LocalOptions,
  path: string,
  signal: AbortSignal,
): Promise<ObjectInfo | undefined> {
  throwIfAborted(signal);
  const { folders, name } = localObjectPath(path);
  return await inFolder(options, folders, async ({ last }) => {
    const stats = await lstat(last.at(name)).catch((error: unknown) => {
      if (isErrno(error, 'ENOENT')) return undefined;
      throw fileError(error, 'look up', last.pathOf(name));
    });
    if (stats?.isSymbolicLink()) throw linkRefused(last.pathOf(name));
    return stats?.isFile() ? { path, bytes: stats.size, modified: stats.mtime } : undefined;
  });
}

/** See the port's `remove`. */
export async function removeObject(options: LocalOptions, path: string, signal: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  const { folders, name } = localObjectPath(path);
  await removeFile(options, [...folders, name], path);
}

async function removeFile(options: LocalOptions, names: readonly string[], path: string): Promise<void> {
  const name = names[names.length - 1] as string;
  await inFolder(options, names.slice(0, -1), async (chain) => {
    const { last } = chain;
    try {
      const found = await lstat(last.at(name));
      if (found.isSymbolicLink()) throw linkRefused(last.pathOf(name));
      if (found.isDirectory()) throw new BackupError('invalid-config', `${path} is a folder, not an object`);
      await unlink(last.at(name));
    } catch (error) {
      if (!isErrno(error, 'ENOENT')) throw fileError(error, 'remove', last.pathOf(name));
    }
    // Durable before the next removal: a manifest must not come back after its artifacts are gone.
    await last.sync();
    await chain.prune();
  });
}

async function* filesUnder(
  options: LocalOptions,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<FoundFile, void> {
  throwIfAborted(signal);
  const folders = localFolderPath(prefix);
  const root = await openRootForRead(options);
  if (root === undefined) return;
  const chain = await FolderChain.open(root, folders).catch(undefinedIfMissing);
  if (chain === undefined) return;
  try {
    yield* walkFiles(await realpath(options.root), chain.last, prefix, signal);
  } finally {
    await chain.close();
  }
}

async function inFolder<T>(
  options: LocalOptions,
  folders: readonly string[],
  work: (chain: FolderChain) => Promise<T>,
): Promise<T | undefined> {
  const root = await openRootForRead(options);
  if (root === undefined) return undefined;
  const chain = await FolderChain.open(root, folders).catch(undefinedIfMissing);
  if (chain === undefined) return undefined;
  try {
    return await work(chain);
  } finally {
    await chain.close();
  }
}

function undefinedIfMissing(error: unknown): undefined {
  if (error instanceof BackupError && error.code === 'not-found') return undefined;
  throw error;
}
