import type { Stats } from 'ssh2';
import { BackupError, throwIfAborted } from '../../errors.ts';
import type { FileSystem, SftpChannel } from './channel.ts';
import { isMissing, isStatus, isUnsupported, STATUS, sftpFailure } from './failures.ts';
import type { SftpStorage } from './storage.ts';

/** A file system with less than that, in bytes, is full. */
const LITTLE_BYTES = 1024 * 1024;
/** How often a folder that others make and remove is looked at before a refusal counts. */
const LOOKS = 5;

/** The absolute path of names below the storage's folder. */
export function pathOf(channel: SftpChannel, names: readonly string[]): string {
  return [channel.root, ...names].join('/') || '/';
}

/** What has that name, itself and not what it may link to; undefined when nothing has. */
export async function look(channel: SftpChannel, names: readonly string[]): Promise<Stats | undefined> {
  return await undefinedIfMissing(channel.lstat(pathOf(channel, names)));
}

/** @throws everything but that something is missing */
export async function undefinedIfMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** True when the server did it, false when it refused. @throws what broke */
export async function attempt(work: Promise<unknown>): Promise<boolean> {
  try {
    await work;
    return true;
  } catch (error) {
    if (isStatus(error) || isUnsupported(error)) return false;
    throw error;
  }
}

/**
 * Whether the storage's folder is there. False only when it will be created by the first write.
 * @throws BackupError `not-found`, `invalid-config`, or the server's refusal as it came
 */
export async function hasRoot(storage: SftpStorage, channel: SftpChannel): Promise<boolean> {
  const path = pathOf(channel, []);
  const found = await undefinedIfMissing(channel.stat(path));
  if (found?.isDirectory()) return true;
  if (found !== undefined) {
    throw new BackupError('invalid-config', `${path} on ${storage.location} is a file, not a folder`);
  }
  if (storage.options.create) return false;
  throw new BackupError(
    'not-found',
    `The folder ${path} does not exist on ${storage.location}: create it, mount its disk there, or switch on "Create the folder"`,
  );
}

/**
 * Refuses folders of the storage that are symbolic links, wherever they lead. Servers that do not resolve links
 * keep their users from following them themselves, or not: they do not show it.
 * @throws BackupError `invalid-config`
 */
export async function refuseLinkedFolders(channel: SftpChannel, folders: readonly string[]): Promise<void> {
  if (folders.length === 0) return;
  const [root, real] = await Promise.all([
    realPath(channel, pathOf(channel, [])),
    realPath(channel, pathOf(channel, folders)),
  ]);
  if (root === undefined || real === undefined || real === [root, ...folders].join('/')) return;
  for (const [index] of folders.entries()) {
    const names = folders.slice(0, index + 1);
    if ((await look(channel, names))?.isSymbolicLink()) throw linkRefused(names.join('/'));
  }
}

/** The error for a symbolic link where a folder or object of the storage is expected. */
export function linkRefused(path: string): BackupError {
  return new BackupError(
    'invalid-config',
    `${path} is a symbolic link on the server: links below the folder of a storage are not followed, use a bind mount instead`,
  );
}

/** With symbolic links resolved, without a slash at its end; undefined when the server refuses. */
export async function realPath(channel: SftpChannel, path: string): Promise<string | undefined> {
  try {
    return (await channel.realpath(path)).replace(/\/+$/, '');
  } catch (error) {
    if (isStatus(error)) return undefined;
    throw error;
  }
}

/** A folder that was there a moment ago: somebody else pruned it. */
export class FolderGone extends Error {
  constructor(path: string) {
    super(`${path} was removed by somebody else`);
  }
}

/**
 * Makes the folders that are missing, and the storage's own if the options say so.
 * @throws BackupError `invalid-config` when one of them is a file or a link, FolderGone, else the server's
 *   refusal as it came
 */
export async function makeFolders(
  storage: SftpStorage,
  channel: SftpChannel,
  folders: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  if (!(await hasRoot(storage, channel))) await makeRoot(channel, signal);
  for (const [index] of folders.entries()) {
    throwIfAborted(signal);
    await makeFolder(channel, folders.slice(0, index + 1));
  }
}

async function makeRoot(channel: SftpChannel, signal: AbortSignal): Promise<void> {
  const parts = pathOf(channel, []).split('/').slice(1);
  let refusal: unknown;
  for (const [index] of parts.entries()) {
    throwIfAborted(signal);
    refusal = await refusalOf(channel.mkdir(`/${parts.slice(0, index + 1).join('/')}`));
  }
  const made = await undefinedIfMissing(channel.stat(pathOf(channel, [])));
  if (made === undefined) throw refusal;
}

async function makeFolder(channel: SftpChannel, names: readonly string[]): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const refusal = await refusalOf(channel.mkdir(pathOf(channel, names)));
    if (refusal === undefined) return;
    const found = await look(channel, names);
    if (found?.isDirectory()) return;
    if (found?.isSymbolicLink()) throw linkRefused(names.join('/'));
    if (found !== undefined) throw isFile(names);
    if (isMissing(refusal) && names.length > 1) throw new FolderGone(names.join('/'));
    // It was there, so that it could not be made, and is not any more: or it cannot be made at all.
    if (!isStatus(refusal, STATUS.FAILURE) || tries === LOOKS) throw refusal;
  }
}

function isFile(names: readonly string[]): BackupError {
  return new BackupError(
    'invalid-config',
    `${names.join('/')} is a file on the server, but a folder is needed there`,
  );
}

/** The server's refusal; undefined when it did what was asked. @throws what broke */
async function refusalOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (isStatus(error)) return error;
    throw error;
  }
}

/** Removes the folders that are empty, from the last one up to, and not including, the storage's own. */
export async function pruneFolders(channel: SftpChannel, names: readonly string[]): Promise<void> {
  for (let depth = names.length; depth > 0; depth -= 1) {
    if (!(await attempt(channel.rmdir(pathOf(channel, names.slice(0, depth)))))) return;
  }
}

/**
 * Makes the names in a folder durable, where the server can: OpenSSH opens a folder as a file, and fsync(2) works
 * on it.
 */
export async function syncFolder(channel: SftpChannel, names: readonly string[]): Promise<void> {
  let handle: Buffer | undefined;
  try {
    handle = await channel.open(pathOf(channel, names), 'r');
    await channel.fsync(handle);
  } catch (error) {
    if (!isStatus(error) && !isUnsupported(error)) throw error;
  } finally {
    if (handle !== undefined) channel.closeFile(handle).catch(() => undefined);
  }
}

/**
 * The file system that holds the storage's folder, or would when it is created; undefined when the server does
 * not tell.
 */
export async function fileSystem(channel: SftpChannel): Promise<FileSystem | undefined> {
  for (let path = pathOf(channel, []); ; path = path.slice(0, path.lastIndexOf('/')) || '/') {
    try {
      return await channel.statvfs(path);
    } catch (error) {
      if (isUnsupported(error) || path === '/') return undefined;
      if (!isStatus(error)) throw error;
    }
  }
}

/**
 * Why the server refused to write: it calls a full disk, and a file system that can only be read, a "Failure"
 * like any other.
 * @returns the error as it came when the file system tells nothing
 */
export async function whyNotWritten(channel: SftpChannel, error: unknown, doing: string): Promise<unknown> {
  if (!isStatus(error, STATUS.FAILURE)) return error;
  const found = await fileSystem(channel).catch(() => undefined);
  if (found?.readOnly) {
    const text = `Cannot ${doing}: the file system there is mounted read-only; look why, or choose another folder`;
    return new BackupError('permission', text, { cause: error });
  }
  if (found?.freeBytes !== undefined && found.freeBytes < LITTLE_BYTES) {
    return new BackupError(
      'no-space',
      `Cannot ${doing}: its disk is full (${found.freeBytes} bytes free); free space there`,
      {
        cause: error,
      },
    );
  }
  if (found?.freeFiles === 0) {
    const text = `Cannot ${doing}: its file system can hold no more files (no inodes are free)`;
    return new BackupError('no-space', text, { cause: error });
  }
  return sftpFailure(error, `${doing} (perhaps a quota is used up)`);
}
