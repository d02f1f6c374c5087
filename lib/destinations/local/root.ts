import { mkdir, readFile, realpath, stat, statfs } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { BackupError } from '../../errors.ts';
import { fileError, isErrno } from './errors.ts';
import { Folder } from './folder.ts';
import type { LocalOptions } from './options.ts';

/**
 * Opens the storage's root for writing: makes it when the options say so.
 * @throws BackupError `not-found` when it is missing, `invalid-config` when it is no folder or nothing
 *   is mounted on it, `permission`
 */
export async function openRootForWrite(options: LocalOptions): Promise<Folder> {
  const root = await openExistingRoot(options);
  if (root !== undefined) return root;
  if (!options.create) throw missingRoot(options.root);
  await makeRoot(options.root);
  const made = await openExistingRoot(options);
  if (made === undefined) throw missingRoot(options.root);
  return made;
}

/**
 * Opens the root for reading. Undefined when it is missing but would be created by the first write:
 * the storage is then empty.
 * @throws BackupError as above
 */
export async function openRootForRead(options: LocalOptions): Promise<Folder | undefined> {
  const root = await openExistingRoot(options);
  if (root === undefined && !options.create) throw missingRoot(options.root);
  return root;
}

/** Free bytes for this user on the disk of the root (or of where it will be made), if the disk can tell. */
export async function freeBytes(options: LocalOptions): Promise<number | undefined> {
  const root = await openRootForRead(options);
  await root?.close();
  let path = options.root;
  for (;;) {
    try {
      const space = await statfs(path, { bigint: true });
      return space.blocks === 0n ? undefined : Number(space.bavail * space.bsize);
    } catch (error) {
      if (!isErrno(error, 'ENOENT') || path === dirname(path)) {
        throw fileError(error, 'read the free space of', options.root);
      }
      path = dirname(path);
    }
  }
}

async function openExistingRoot(options: LocalOptions): Promise<Folder | undefined> {
  try {
    if (options.mountPoint) await checkMounted(options.root);
    return await Folder.openRoot(options.root);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw fileError(error, 'open the storage folder', options.root);
  }
}

function missingRoot(path: string): BackupError {
  return new BackupError(
    'not-found',
    `The storage folder ${path} does not exist: mount its disk, create it, or switch on "Create the folder"`,
  );
}

async function makeRoot(path: string): Promise<void> {
  try {
    const first = await mkdir(path, { recursive: true, mode: 0o700 });
    if (first === undefined) return;
    for (let made = path; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
  } catch (error) {
    throw fileError(error, 'create the storage folder', path);
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await Folder.openRoot(path);
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

async function checkMounted(path: string): Promise<void> {
  const real = await realpath(path);
  const mounted = (await linuxMountPoints())?.has(real) ?? (await hasOwnDevice(real));
  if (mounted) return;
  throw new BackupError(
    'invalid-config',
    `Nothing is mounted on ${path}: mount its disk first, or switch off "Is a mount point"`,
  );
}

/** Mount points by proc(5) mountinfo, whose fifth field escapes blanks in octal; undefined where there is none. */
async function linuxMountPoints(): Promise<Set<string> | undefined> {
  if (process.platform !== 'linux') return undefined;
  let table: string;
  try {
    table = await readFile('/proc/self/mountinfo', 'utf8');
  } catch {
    return undefined;
  }
  const points = new Set<string>();
  for (const line of table.split('\n')) {
    const field = line.split(' ')[4];
    if (field !== undefined) points.add(unescapeOctal(field));
  }
  return points;
}

function unescapeOctal(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

async function hasOwnDevice(path: string): Promise<boolean> {
  const [folder, above] = await Promise.all([stat(path), stat(join(path, '..'))]);
  return folder.dev !== above.dev;
}
