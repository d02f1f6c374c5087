import { NO_ANNOTATIONS } from '../backupset/annotation-format.ts';
import { readAnnotations, type StoredAnnotations } from '../backupset/annotations.ts';
import { type Catalog, listBackupSets } from '../backupset/catalog.ts';
import { isStored } from '../backupset/manifest.ts';
import { ANNOTATIONS_FILE, joinPath, MANIFEST_FILE, openedAtOf, REMOVAL_FILE } from '../backupset/names.ts';
import type { BackupSet } from '../backupset/reader.ts';
import { isSuspicious } from '../backupset/suspicion.ts';
import type { DestinationDriver, ObjectInfo } from '../destinations/driver.ts';
import { BackupError, type ErrorCode } from '../errors.ts';
import type { Excuse, RetainedSet, SetQuality } from './policy.ts';

/** A set that is dated further ahead than this tells that a clock is wrong, in ms. */
export const MAX_SKEW_MS = 3_600_000;
/** Annotations that are read at once. */
const PARALLEL_READS = 8;
/** What is wrong with the annotations themselves; every other error is one of the storage. */
const DAMAGED: readonly ErrorCode[] = ['corrupt', 'invalid-config'];
/** Sets that an error names; there may be thousands. */
const NAMED = 3;

export interface SurveyRequest {
  readonly driver: DestinationDriver;
  /** Folder under the storage's root, as the destination node has it. */
  readonly prefix: string;
  readonly job: string;
  /** By the clock of this host, in ms since 1970. */
  readonly now: number;
  /** True while the run of a set goes on. */
  isBusy?(runId: string): boolean;
  /** Path of a set that is done, whatever is said of its run: the destination before has just stored it. */
  readonly stored?: string;
  readonly signal: AbortSignal;
}

/** A set of the job with all that a policy asks about. */
export interface SurveyedSet extends RetainedSet {
  readonly source: BackupSet;
  /** Its files as they were listed, by their names in the folder. */
  readonly files: ReadonlyMap<string, ObjectInfo>;
  readonly annotations: StoredAnnotations;
  /** What its files lack, according to its manifest. */
  readonly damage?: string;
  /** An earlier removal of it was interrupted before it began. */
  readonly isMarked: boolean;
}

export interface Survey {
  readonly sets: readonly SurveyedSet[];
  /** Folders whose set was being removed when the removal was killed. */
  readonly interrupted: readonly string[];
}

/**
 * Reads all sets of a job, with their files and annotations. What cannot be read is an error, not a set less: who
 * removes others instead may remove the last good one.
 * @throws BackupError of the storage; `corrupt` when a manifest cannot be believed, `invalid-config` when a clock is
 *   wrong
 */
export async function surveyJob(request: SurveyRequest): Promise<Survey> {
  const { driver, prefix, job, signal } = request;
  const files = new Map<string, Map<string, ObjectInfo>>();
  const catalog = await listBackupSets(driver, {
    prefix,
    job,
    signal,
    onObject: (object) => noteFile(files, object),
  });
  refuseUnreadable(catalog, request);
  for (const set of catalog.sets) refuseContradictions(set, request);
  const surveyed: SurveyedSet[] = [];
  const queue = catalog.sets.values();
  const surveyNext = async (): Promise<void> => {
    for (const set of queue) surveyed.push(await survey(set, files.get(set.path) ?? new Map(), request));
  };
  await Promise.all(Array.from({ length: PARALLEL_READS }, surveyNext));
  const interrupted = [...files].flatMap(([path, names]) =>
    names.has(REMOVAL_FILE) && !names.has(MANIFEST_FILE) ? [path] : [],
  );
  return { sets: surveyed, interrupted };
}

/** The annotations of a set; those that its run began it with when it has no file of them. */
export async function annotationsOf(
  driver: DestinationDriver,
  set: BackupSet,
  signal: AbortSignal,
): Promise<StoredAnnotations> {
  const found = await readAnnotations(driver, set.path, { signal });
  return found.value === NO_ANNOTATIONS ? firstAnnotations(set) : found;
}

function firstAnnotations({ manifest }: BackupSet): StoredAnnotations {
  const { tags = [], pinned = false } = manifest.recipe.annotations ?? {};
  return { value: { ...NO_ANNOTATIONS, tags, pinned } };
}

/**
 * What annotations say about removing the set.
 * @throws BackupError when the storage could not be asked
 */
export function excuseOf({ value, error }: StoredAnnotations): Excuse | undefined {
  if (error !== undefined) {
    if (!DAMAGED.includes(error.code)) throw error;
    return { rule: 'annotations', problem: error.message };
  }
  return value.pinned ? { rule: 'pinned' } : undefined;
}

function noteFile(files: Map<string, Map<string, ObjectInfo>>, object: ObjectInfo): void {
  const cut = object.path.lastIndexOf('/');
  const folder = object.path.slice(0, Math.max(cut, 0));
  const known = files.get(folder) ?? new Map<string, ObjectInfo>();
  files.set(folder, known);
  known.set(object.path.slice(cut + 1), object);
}

async function survey(
  set: BackupSet,
  files: ReadonlyMap<string, ObjectInfo>,
  request: SurveyRequest,
): Promise<SurveyedSet> {
  const { driver, signal } = request;
  const annotations = files.has(ANNOTATIONS_FILE)
    ? await annotationsOf(driver, set, signal)
    : firstAnnotations(set);
  const damage = damageOf(set, files);
  const excused = renamedFrom(set) ?? busyExcuse(set, request) ?? excuseOf(annotations);
  return {
    path: set.path,
    at: Date.parse(set.manifest.startedAt),
    quality: qualityOf(set, annotations, damage),
    tags: annotations.value.tags,
    ...(excused === undefined ? {} : { excused }),
    source: set,
    files,
    annotations,
    ...(damage === undefined ? {} : { damage }),
    isMarked: files.has(REMOVAL_FILE),
  };
}

/** Whether anything speaks against a set as a backup. */
function qualityOf(
  { manifest }: BackupSet,
  { value }: StoredAnnotations,
  damage: string | undefined,
): SetQuality {
  if (damage !== undefined || value.knownBad !== undefined) return 'bad';
  if (manifest.status !== 'complete') return 'partial';
  return isSuspicious(value) ? 'suspicious' : 'good';
}

/** Looks whether all dumps are there in their sizes: a set without them is none to rely on. */
function damageOf({ manifest }: BackupSet, files: ReadonlyMap<string, ObjectInfo>): string | undefined {
  for (const { file, stored } of manifest.artifacts.filter(isStored)) {
    const found = files.get(file);
    if (found === undefined) return `${file} is missing`;
    if (found.bytes !== stored.bytes) return `${file} has ${found.bytes} instead of ${stored.bytes} bytes`;
  }
  return undefined;
}

function renamedFrom({ path, manifest }: BackupSet): Excuse | undefined {
  const folder = path.slice(path.lastIndexOf('/') + 1);
  const isOurs = folder === manifest.set && openedAtOf(folder) !== undefined;
  return isOurs ? undefined : { rule: 'renamed', set: manifest.set };
}

function busyExcuse({ path, manifest }: BackupSet, { isBusy, stored }: SurveyRequest): Excuse | undefined {
  return path !== stored && isBusy?.(manifest.runId) === true ? { rule: 'busy' } : undefined;
}

function refuseUnreadable({ unreadable }: Catalog, { driver, job }: SurveyRequest): void {
  const [first] = unreadable;
  if (first === undefined) return;
  const named = unreadable.slice(0, NAMED).map(({ path, error }) => `${path} (${error.message})`);
  const more = unreadable.length > NAMED ? ` and ${unreadable.length - NAMED} more` : '';
  throw new BackupError(
    first.error.code,
    `${countedSets(unreadable.length)} of the job ${job} in ${driver.describe()} cannot be read, so that nothing is removed: ${named.join('; ')}${more}. Repair, move or remove what is damaged`,
    { transient: unreadable.every(({ error }) => error.transient) },
  );
}

/** A manifest that a program of ours has not written like that, or not with a clock that is right. */
function refuseContradictions({ path, manifest }: BackupSet, { driver, job, now }: SurveyRequest): void {
  const where = joinPath(driver.describe(), path);
  const started = Date.parse(manifest.startedAt);
  const finished = Date.parse(manifest.finishedAt);
  const latest = Math.max(started, finished);
  if (latest > now + MAX_SKEW_MS) {
    throw new BackupError(
      'invalid-config',
      `Set ${where} is dated ${new Date(latest).toISOString()}, which is in the future (it is ${new Date(now).toISOString()} here), so that nothing of the job ${job} is removed: set the clocks of the hosts right, and remove the set if its time is wrong`,
    );
  }
  const opened = openedAtOf(manifest.set)?.getTime();
  const isOtherTime = opened !== undefined && Math.floor(started / 1000) * 1000 !== opened;
  if (!isOtherTime && finished >= started) return;
  throw new BackupError(
    'corrupt',
    `The manifest of set ${where} contradicts itself (begun ${manifest.startedAt}, ended ${manifest.finishedAt}, folder ${manifest.set}), so that nothing of the job ${job} is removed: it was changed or damaged`,
  );
}

function countedSets(count: number): string {
  return count === 1 ? 'One set' : `${count} sets`;
}
