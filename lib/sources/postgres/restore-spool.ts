import { randomBytes } from 'node:crypto';
import { constants, type FileHandle, open, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { BackupError, toBackupError } from '../../errors.ts';
import type { RestoreInput } from './restore-input.ts';

/** Free space that a spool leaves to others, in bytes. */
const RESERVE_BYTES = 32 * 1024 * 1024;

/** A private file for what a tool cannot take from a pipe. */
export interface SpoolFile {
  /** What a child process of ours opens. */
  readonly path: string;
  remove(): Promise<void>;
}

/**
 * Refuses when the folder for spool files cannot take the dump.
 * @throws BackupError `no-space`, or why the folder cannot be used
 */
export async function requireSpoolSpace(directory: string, bytes: number | undefined): Promise<void> {
  const folder = folderOf(directory);
  const { bavail, bsize } = await statfs(folder).catch((error: unknown) => {
    throw toBackupError(error, `The spool folder ${folder} cannot be used`);
  });
  const free = bavail * bsize;
  if (bytes === undefined || free >= bytes + RESERVE_BYTES) return;
  throw new BackupError(
    'no-space',
    `The spool folder ${folder} has ${free} bytes free, but the dump needs ${bytes} there and a reserve of ${RESERVE_BYTES}: free some space, set another folder, or restore with one job`,
  );
}

/**
 * Writes the whole dump into a spool file. On Linux the file has no name from the beginning, so that nothing
 * stays behind however this process ends.
 * @throws BackupError of the dump, or of the disk
 */
export async function spoolDump(directory: string, input: RestoreInput): Promise<SpoolFile> {
  return await spool(directory, async (handle) => {
    const stream = input.stream();
    for await (const chunk of stream) {
      await writeAll(handle, chunk);
      stream.release?.(chunk);
    }
    await input.finish();
  });
}

/** Writes a short text into a spool file. */
export async function spoolText(directory: string, text: string): Promise<SpoolFile> {
  return await spool(directory, (handle) => writeAll(handle, Buffer.from(text)));
}

async function spool(directory: string, fill: (handle: FileHandle) => Promise<void>): Promise<SpoolFile> {
  const folder = folderOf(directory);
  const name = join(folder, `dbackup-postgres-${randomBytes(8).toString('hex')}`);
  const flags = constants.O_CREAT | constants.O_EXCL | constants.O_RDWR;
  const handle = await open(name, flags, 0o600).catch((error: unknown) => {
    throw toBackupError(error, `The spool folder ${folder} cannot be used`);
  });
  const isNameless = process.platform === 'linux';
  const remove = async () => {
    await handle.close();
    await rm(name, { force: true });
  };
  try {
    if (isNameless) await rm(name);
    await fill(handle);
    return { path: isNameless ? `/proc/${process.pid}/fd/${handle.fd}` : name, remove };
  } catch (error) {
    await remove();
    throw toBackupError(error, `The spool folder ${folder}`);
  }
}

async function writeAll(handle: FileHandle, chunk: Buffer): Promise<void> {
  for (let at = 0; at < chunk.length; ) at += (await handle.write(chunk, at)).bytesWritten;
}

function folderOf(directory: string): string {
  return directory === '' ? tmpdir() : resolve(directory);
}
