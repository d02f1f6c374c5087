import { closeSync, fsyncSync, openSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import Database from 'better-sqlite3';

/** So many copies of old stores are kept. */
const KEPT = 3;
const PARTIAL = '.partial';

/**
 * Copies a store as it is, beside it and for this user only: `dbackup.db.before-<migration>`. The caller holds its write
 * lock. The copy is complete, checked by SQLite as it reads all pages, and on the disk when this returns.
 * @returns the copy's path
 * @throws errors of SQLite and of the file system
 */
export function copyStore(file: string, migration: string): string {
  const copy = `${file}.before-${migration}`;
  const partial = `${copy}${PARTIAL}`;
  rmSync(partial, { force: true });
  // SQLite writes into an empty file with the rights that it has.
  closeSync(openSync(partial, 'wx', 0o600));
  try {
    const reader = new Database(file, { readonly: true });
    try {
      reader.prepare('VACUUM INTO ?').run(partial);
    } finally {
      reader.close();
    }
    sync(partial);
    renameSync(partial, copy);
    sync(dirname(copy));
    return copy;
  } catch (error) {
    rmSync(partial, { force: true });
    throw error;
  }
}

/** Replaces the content of a store by that of a copy, at once and with its locks: others may have it open. */
export async function putBack(copy: string, file: string): Promise<void> {
  const source = new Database(copy, { readonly: true });
  try {
    await source.backup(file);
  } finally {
    source.close();
  }
}

/** Removes copies but the newest, and returns the paths of those. One that cannot be removed stays. */
export function removeOldCopies(file: string): string[] {
  const prefix = `${basename(file)}.before-`;
  const copies = readdirSync(dirname(file))
    .filter((name) => name.startsWith(prefix) && !name.endsWith(PARTIAL))
    .map((name) => join(dirname(file), name))
    .map((path) => ({ path, at: statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .sort((one, other) => other.at - one.at)
    .map(({ path }) => path);
  return copies.slice(KEPT).filter(remove);
}

function remove(path: string): boolean {
  try {
    rmSync(path);
    return true;
  } catch {
    return false;
  }
}

function sync(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
