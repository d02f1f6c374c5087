import { listBackupSets } from '../lib/backupset/catalog.ts';
import { joinPath } from '../lib/backupset/names.ts';
import { type BackupSet, openBackupSet } from '../lib/backupset/reader.ts';
import type { VerifyLevel } from '../lib/backupset/verify-levels.ts';
import type { DestinationDriver } from '../lib/destinations/driver.ts';
import { BackupError } from '../lib/errors.ts';
import { type Sample, type SampledSet, sampleSets } from '../lib/restore/sample-sets.ts';
import { withAnnotations } from './set-annotations.ts';

/** A folder of a storage that backup sets are looked for in. */
export interface StoragePlace {
  readonly driver: DestinationDriver;
  /** Below the storage's root; empty for all of it. */
  readonly prefix: string;
}

export interface SetQuery {
  /** `<job>/<id>` as `list` shows it, the id alone, or `latest`. */
  readonly set: string;
  readonly job?: string | undefined;
  readonly signal: AbortSignal;
}

/**
 * Finds the set that a person named.
 * @throws BackupError `not-found`; `invalid-config` when the name fits several
 */
export async function findSet(place: StoragePlace, query: SetQuery): Promise<BackupSet> {
  if (query.set === 'latest') return latestSet(place, query);
  if (query.set.includes('/')) {
    const path = query.set.replace(/^\/+|\/+$/g, '');
    return openBackupSet(place.driver, joinPath(place.prefix, path), query.signal);
  }
  return setById(place, query);
}

/** Words for several sets, or for one that is chosen among them. */
const SAMPLES: Readonly<Record<string, Sample>> = {
  all: { which: 'all' },
  random: { which: 'random', last: 30 },
  unverified: { which: 'unverified' },
};

/**
 * Finds the sets that a person named: one, or by a word those of a job.
 * @param query `all`, `random`, `unverified`, or what `findSet` takes
 * @throws BackupError as `findSet`
 */
export async function findSets(
  place: StoragePlace,
  query: SetQuery,
  level: VerifyLevel,
): Promise<readonly BackupSet[]> {
  const sample = Object.hasOwn(SAMPLES, query.set) ? SAMPLES[query.set] : undefined;
  if (sample === undefined) return [await findSet(place, query)];
  const { sets, unreadable } = await catalogue(place, query);
  const [unread] = unreadable;
  // Sets that cannot be read must not look as if they had been verified.
  if (unread !== undefined) throw unread.error;
  const chosen = sampleSets(await annotated(sets, query.signal), sample, level);
  if (chosen.length === 0) throw noSets(place, query.job);
  return chosen;
}

async function annotated(sets: readonly BackupSet[], signal: AbortSignal): Promise<SampledSet[]> {
  const read = await withAnnotations(sets, signal);
  return read.map(({ set, annotations }) => ({ set, annotations: annotations.value }));
}

async function latestSet(place: StoragePlace, query: SetQuery): Promise<BackupSet> {
  const { sets, unreadable } = await catalogue(place, query);
  const [newest] = sets;
  const [unread] = unreadable;
  // A folder's name begins with its time: an unreadable set that is newer must not be passed over silently.
  const newer = unreadable.find(({ path }) => newest === undefined || idOf(path) > idOf(newest.path));
  if (newer !== undefined) {
    throw new BackupError(
      newer.error.code,
      `The newest set ${newer.path} cannot be read (${newer.error.message}): name the set that you want`,
    );
  }
  if (newest === undefined) throw unread?.error ?? noSets(place, query.job);
  const jobs = [...new Set(sets.map((set) => set.manifest.job))];
  if (jobs.length === 1) return newest;
  throw new BackupError(
    'invalid-config',
    `${place.driver.describe()} holds sets of the jobs ${jobs.join(', ')}: say which with --job`,
  );
}

async function setById(place: StoragePlace, query: SetQuery): Promise<BackupSet> {
  const { sets, unreadable } = await catalogue(place, query);
  const broken = unreadable.find(({ path }) => idOf(path) === query.set);
  if (broken !== undefined) throw broken.error;
  const found = sets.filter(({ path }) => idOf(path) === query.set);
  const [first, second] = found;
  if (first === undefined) {
    throw new BackupError(
      'not-found',
      `${place.driver.describe()} holds no set ${query.set}: "dbackup list" shows what there is`,
    );
  }
  if (second === undefined) return first;
  const paths = found.map(({ path }) => path).join(', ');
  throw new BackupError('invalid-config', `Several sets are called ${query.set}: name one of ${paths}`);
}

async function catalogue(place: StoragePlace, { job, signal }: SetQuery) {
  const filter = job === undefined ? {} : { job };
  return listBackupSets(place.driver, { prefix: place.prefix, signal, ...filter });
}

/** The path of a set as `list` shows it and `findSet` takes it. */
export function pathBelow(place: StoragePlace, path: string): string {
  return place.prefix !== '' && path.startsWith(`${place.prefix}/`)
    ? path.slice(place.prefix.length + 1)
    : path;
}

function idOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

function noSets(place: StoragePlace, job: string | undefined): BackupError {
  const where = joinPath(place.driver.describe(), place.prefix);
  const what = job === undefined ? 'no backup sets' : `no backup sets of the job ${job}`;
  return new BackupError('not-found', `${where} holds ${what}`);
}
