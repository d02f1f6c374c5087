import { randomBytes } from 'node:crypto';
import { lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toBackupError } from './errors.ts';
import { isOrphan, OWNER_TAG, ownerTag } from './process-owner.ts';

const NAME = new RegExp(`^dbackup-([a-z]+)-(${OWNER_TAG})-[0-9a-f]{16}$`);

/**
 * A new name for a folder with temporary files of this process: `dbackup-<kind>-<owner>-<random>`. It tells which
 * process owns it, so that others can remove it when that was killed.
 * @param kind what it is for: lower-case letters
 */
export function privateFolderName(kind: string): string {
  return `dbackup-${kind}-${ownerTag()}-${randomBytes(8).toString('hex')}`;
}

/**
 * Makes such a folder among the system's temporary files, for this user only. The caller removes it.
 * @throws the system's error
 */
export async function makePrivateFolder(kind: string): Promise<string> {
  const folder = join(tmpdir(), privateFolderName(kind));
  await mkdir(folder, { mode: 0o700 });
  return folder;
}

/**
 * Removes the private folders that killed processes left in a directory and returns their names. Those of living
 * processes stay, and so do links, folders of other users and whatever bears another name.
 * @param kind only those for that; all without it
 * @throws BackupError when the directory cannot be listed or a leftover cannot be removed
 */
export async function sweepPrivateFolders(directory: string, kind?: string): Promise<string[]> {
  const swept: string[] = [];
  try {
    for (const name of await readdir(directory)) {
      if (!(await isLeftover(directory, name, kind))) continue;
      await rm(join(directory, name), { recursive: true, force: true });
      swept.push(name);
    }
  } catch (error) {
    throw toBackupError(error, `The folder ${directory} cannot be swept of what killed processes have left`);
  }
  return swept;
}

async function isLeftover(directory: string, name: string, wanted: string | undefined): Promise<boolean> {
  const [, kind, tag] = NAME.exec(name) ?? [];
  if (tag === undefined || (wanted !== undefined && kind !== wanted)) return false;
  const found = await lstat(join(directory, name)).catch(() => undefined);
  if (found === undefined || !found.isDirectory()) return false;
  const ours = process.getuid === undefined || found.uid === process.getuid();
  return ours && isOrphan(tag, found.mtime);
}
