import { mkdirSync, statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { BackupError, toBackupError } from '../../errors.ts';
import { privateFolderName, sweepPrivateFolders } from '../../private-folders.ts';

/** Free space that a spool leaves to others, in bytes. */
export const SPOOL_RESERVE_BYTES = 32 * 1024 * 1024;

const KIND = 'sqlite';

/** The folder for spools: the configured one, or the system's for temporary files. */
export function spoolDirectoryOf(configured: string): string {
  return configured === '' ? tmpdir() : resolve(configured);
}

/** A new name for the private folder of one spool, telling which process owns it. Nothing is created. */
export function newSpoolFolder(directory: string): string {
  return join(directory, privateFolderName(KIND));
}

/**
 * Creates the private folder of one spool.
 * @throws BackupError when the folder for spools is missing, full or not writable
 */
export function createSpoolFolder(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    throw spoolFailure(error, folder);
  }
}

/**
 * Removes the spools that killed processes left in a folder and returns their names. Those of living
 * processes stay, and so do links, files of other users and whatever bears another name.
 * @param directory as configured: empty means the system's folder for temporary files
 * @throws BackupError when the folder cannot be listed or a leftover cannot be removed
 */
export async function sweepSpool(directory: string): Promise<string[]> {
  return await sweepPrivateFolders(spoolDirectoryOf(directory), KIND);
}

/**
 * @param folder private folder of one spool
 * @param reserve free space to be left to others, in bytes
 * @throws BackupError `no-space` when the disk of the folder cannot take that many bytes and the reserve
 */
export function requireSpace(folder: string, bytes: number, reserve = SPOOL_RESERVE_BYTES): void {
  const { bavail, bsize } = statfsSync(folder);
  const free = bavail * bsize;
  if (free >= bytes + reserve) return;
  const kept = reserve > 0 ? ` and a reserve of ${reserve}` : '';
  throw new BackupError(
    'no-space',
    `The spool folder ${dirname(folder)} has ${free} bytes free, but the dump needs ${bytes}${kept} there: free some space, or set another spool folder`,
  );
}

/** The error of a file operation in a spool folder, so that it is not taken for one of the database. */
export function spoolFailure(thrown: unknown, folder: string): BackupError {
  return toBackupError(thrown, `The spool folder ${dirname(folder)} cannot be used`);
}
