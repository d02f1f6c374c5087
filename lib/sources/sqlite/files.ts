import { lstat, stat } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { BackupError } from '../../errors.ts';
import type { DatabaseInfo } from '../driver.ts';
import { expandPattern, isPattern } from './glob.ts';

/** Files that belong to another database file and are never one themselves. */
const SIBLING = /-(wal|shm|journal)$/;

/**
 * The databases that paths and patterns select now, in their order, each once. A path without pattern
 * characters is listed even when nothing is there, so that its dump fails alone. No file is opened: closing
 * any descriptor of a database would drop the locks that another copy of SQLite in this process holds on it.
 * @throws BackupError `not-found` naming a pattern that matches nothing, `permission` for an unreadable folder
 */
export async function selectDatabases(files: readonly string[]): Promise<DatabaseInfo[]> {
  const paths = new Set<string>();
  for (const file of files) for (const path of await pathsOf(file)) paths.add(path);
  const names = uniqueNames([...paths]);
  return await Promise.all(
    [...paths].map(async (path, index) => {
      const bytes = await sizeOf(path);
      const name = names[index] ?? basename(path);
      return bytes === undefined ? { id: path, name } : { id: path, name, bytes };
    }),
  );
}

async function pathsOf(file: string): Promise<string[]> {
  const path = resolve(file);
  if (!isPattern(file) || (await exists(path))) return [path];
  const matches = (await expandPattern(path)).filter((match) => !SIBLING.test(match));
  if (matches.length > 0) return matches;
  throw new BackupError('not-found', `${file} matches no database file: check the pattern and the folder`);
}

async function exists(path: string): Promise<boolean> {
  return await lstat(path).then(
    () => true,
    () => false,
  );
}

async function sizeOf(path: string): Promise<number | undefined> {
  return await stat(path).then(
    (found) => (found.isFile() ? found.size : undefined),
    () => undefined,
  );
}

/** Base names; where two are equal, with as many parent folders as tell them apart. */
function uniqueNames(paths: readonly string[]): string[] {
  const parts = paths.map((path) => path.split(/[/\\]/).filter((part) => part !== ''));
  const depths = parts.map(() => 1);
  for (;;) {
    const names = parts.map((part, index) => part.slice(-(depths[index] ?? 1)).join('/'));
    const clashes = names.map((name, index) => names.some((other, at) => at !== index && other === name));
    let deeper = false;
    clashes.forEach((clash, index) => {
      const depth = depths[index] ?? 1;
      if (!clash || depth >= (parts[index]?.length ?? 0)) return;
      depths[index] = depth + 1;
      deeper = true;
    });
    if (!deeper) return names;
  }
}
