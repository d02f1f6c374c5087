import { annotationsOf } from '../backupset/annotations.ts';
import type { CatalogQuery } from '../backupset/catalog.ts';
import { jobFolder, joinPath, MANIFEST_FILE, openedAtOf } from '../backupset/names.ts';
import { type BackupSet, openBackupSet } from '../backupset/reader.ts';
import { isSuspicious, NORMAL_TAG } from '../backupset/suspicion.ts';
import type { DestinationDriver } from '../destinations/driver.ts';
import { type BackupError, throwIfAborted, toBackupError } from '../errors.ts';

export interface HistoryQuery extends Pick<CatalogQuery, 'prefix' | 'signal'> {
  readonly job: string;
  /** Is told of a set that cannot be read: it is none to compare with. */
  onUnreadable?(error: BackupError): void;
}

/**
 * The sets of a job in a storage, newest first; each is read only when it is asked for. The names of their folders tell
 * their order to the second, and their manifests that within a second.
 * @throws BackupError when the listing fails
 */
export async function* setsOfJob(
  driver: DestinationDriver,
  query: HistoryQuery,
): AsyncGenerator<BackupSet, undefined> {
  const { prefix, job, signal } = query;
  const folder = jobFolder(prefix, job);
  const bySecond = new Map<string, string[]>();
  for await (const { path } of driver.list(folder, signal)) {
    const [name = '', file, ...deeper] = path.slice(folder.length + 1).split('/');
    // A folder that a person gave another name is theirs.
    if (file !== MANIFEST_FILE || deeper.length > 0 || openedAtOf(name) === undefined) continue;
    const second = name.slice(0, name.lastIndexOf('_'));
    bySecond.set(second, [...(bySecond.get(second) ?? []), joinPath(folder, name)]);
  }
  for (const second of [...bySecond.keys()].sort().reverse()) {
    const sets: BackupSet[] = [];
    for (const path of bySecond.get(second) ?? []) {
      const set = await readSet(driver, path, query);
      if (set?.manifest.job === job) sets.push(set);
    }
    yield* sets.sort((a, b) => b.manifest.startedAt.localeCompare(a.manifest.startedAt));
  }
}

async function readSet(
  driver: DestinationDriver,
  path: string,
  { signal, onUnreadable }: HistoryQuery,
): Promise<BackupSet | undefined> {
  try {
    return await openBackupSet(driver, path, signal);
  } catch (error) {
    throwIfAborted(signal);
    const problem = toBackupError(error);
    // Removed since it was listed.
    if (problem.code !== 'not-found') onUnreadable?.(problem);
    return undefined;
  }
}

/** What the guard makes of a set that is stored. */
export interface Standing {
  /** Complete, and nothing speaks against it. */
  readonly isGood: boolean;
  /** A person has said that it is as it should be: what was before it does not matter any more. */
  readonly isNormal: boolean;
}

/** A set whose annotations cannot be read is not known to be good. */
export async function standingOf(set: BackupSet, signal: AbortSignal): Promise<Standing> {
  const { value, error } = await annotationsOf(set, { signal });
  const isWhole = set.manifest.status === 'complete' && value.knownBad === undefined && error === undefined;
  return { isGood: isWhole && !isSuspicious(value), isNormal: value.tags.includes(NORMAL_TAG) };
}

/**
 * The last good ones among the sets, newest first. Those before one that a person has called normal do not count.
 * @param sets newest first
 */
export async function lastGoodSets(
  sets: AsyncIterable<BackupSet>,
  count: number,
  signal: AbortSignal,
): Promise<BackupSet[]> {
  const found: BackupSet[] = [];
  for await (const set of sets) {
    const { isGood, isNormal } = await standingOf(set, signal);
    if (isGood) found.push(set);
    if (isNormal || found.length === count) break;
  }
  return found;
}

/** The newest one that is good. */
export async function newestGoodSet(
  sets: AsyncIterable<BackupSet>,
  signal: AbortSignal,
): Promise<BackupSet | undefined> {
  for await (const set of sets) if ((await standingOf(set, signal)).isGood) return set;
  return undefined;
}
