import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import type { KeyRing } from '../../lib/keys/keys.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import { isRunning } from './runner-process.ts';

const never = new AbortController().signal;

/**
 * Ids of all processes that were started with that folder for temporary files: those of one test and what
 * they have started, also when their parents are gone. Linux only.
 */
export function processesWithTemp(folder: string): number[] {
  const wanted = `TMPDIR=${folder}`;
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && environmentOf(name).includes(wanted))
    .map(Number)
    .filter(isRunning);
}

function environmentOf(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

/** Every file below a folder, hidden ones included, as sorted paths relative to it. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

/** Paths of the sets that a storage lists. */
export async function listedSets(root: string): Promise<string[]> {
  const { sets, unreadable } = await listBackupSets(createLocalDestination({ root }), {
    prefix: '',
    signal: never,
  });
  return [...sets, ...unreadable].map(({ path }) => path);
}

/** What is wrong with those of the listed sets that `isMeant` picks, down to the content of each file. */
export async function faultsOfListedSets(
  root: string,
  keys: KeyRing,
  isMeant: (path: string) => boolean = () => true,
): Promise<string[]> {
  const driver = createLocalDestination({ root });
  const { sets, unreadable } = await listBackupSets(driver, { prefix: '', signal: never });
  const faults = unreadable.map(({ path, error }) => `${path}: ${error.message}`);
  for (const set of sets.filter(({ path }) => isMeant(path))) {
    const { ok, artifacts } = await verifySet({ set, level: 'content', keys, signal: never });
    if (!ok) faults.push(`${set.path}: ${artifacts.map(({ file, error }) => `${file} ${error?.message}`)}`);
  }
  return faults;
}
