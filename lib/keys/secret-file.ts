import { open, rename, rm, unlink } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { toBackupError } from '../errors.ts';

/** Only the owner may read or write. */
const OWNER_ONLY = 0o600;

/**
 * Replaces a file by this text, whole or not at all: temporary file, fsync, rename, fsync of the folder.
 * Only one caller may do this to a file at a time; what a killed one left behind is removed.
 * @throws BackupError `permission`, `no-space`, `not-found` …
 */
export async function replaceSecretFile(file: string, text: string): Promise<void> {
  const folder = dirname(file);
  const temporary = join(folder, `.${basename(file)}.tmp`);
  try {
    await rm(temporary, { force: true });
    await writeNew(temporary, text);
    await rename(temporary, file);
    await syncFolder(folder);
  } catch (error) {
    throw toBackupError(error, `${file} cannot be written`);
  }
}

/**
 * Writes a file that must not be there yet; none is left when that fails.
 * @throws BackupError `already-exists`, `permission`, `no-space` …
 */
export async function createSecretFile(file: string, content: string | Buffer): Promise<void> {
  try {
    await writeNew(file, content);
    await syncFolder(dirname(file));
  } catch (error) {
    throw toBackupError(error, `${file} cannot be written`);
  }
}

async function writeNew(file: string, content: string | Buffer): Promise<void> {
  const handle = await open(file, 'wx', OWNER_ONLY);
  try {
    await handle.writeFile(content);
    await handle.sync();
  } catch (error) {
    await unlink(file).catch(() => undefined);
    throw error;
  } finally {
    await handle.close();
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
