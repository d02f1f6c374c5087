import { lstat, rename, rm } from 'node:fs/promises';

/** Files that SQLite finds by the name of the database and would apply to whatever bears it. */
const SUFFIXES = ['-journal', '-wal', '-shm'] as const;

/** The siblings of a database file that exist. */
export async function siblingsOf(file: string): Promise<string[]> {
  const found: string[] = [];
  for (const suffix of SUFFIXES) {
    const exists = await lstat(`${file}${suffix}`).then(
      () => true,
      () => false,
    );
    if (exists) found.push(`${file}${suffix}`);
  }
  return found;
}

export async function removeSiblings(file: string): Promise<void> {
  for (const suffix of SUFFIXES) await rm(`${file}${suffix}`, { force: true });
}

/** Gives the siblings the new name of their database. */
export async function renameSiblings(file: string, newFile: string): Promise<void> {
  for (const sibling of await siblingsOf(file)) {
    await rename(sibling, `${newFile}${sibling.slice(file.length)}`);
  }
}
