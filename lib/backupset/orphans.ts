import type { ObjectInfo } from '../destinations/driver.ts';
import { joinPath, openedAtOf, safeName } from './names.ts';
import { type SetFileKind, setFileKind } from './set-files.ts';

/** How far apart the clocks of a storage and of its writers may be, in ms. */
export const CLOCK_TOLERANCE_MS = 10 * 60_000;
/**
 * How long the folder of a run that is known to be dead must have been quiet, in ms: a server may still carry out
 * what the process had asked for before it died.
 */
export const QUIET_MS = 5 * 60_000;

/** A file that became this much newer than another was written later, in ms: listings round times. */
export const ROUNDING_MS = 2_000;

/** A folder `<job>/<run id>` of a storage, as the runs of this product make them. */
export interface SetFolderFound {
  readonly path: string;
  readonly runId: string;
  readonly openedAt: Date;
  /** It is a backup set: `files` is not kept then. */
  readonly hasManifest: boolean;
  readonly files: readonly FoundSetFile[];
  /** When its first and its latest file came. */
  readonly oldest: Date;
  readonly newest: Date;
}

export interface FoundSetFile extends ObjectInfo {
  /** Path below the folder. */
  readonly name: string;
  /** Undefined for a file that is none of a set. */
  readonly kind: SetFileKind | undefined;
}

/** What the history knows of a run: `active` in a process that lives, `dead` when it ended without its set. */
export type RunFate = 'active' | 'dead';

export interface Circumstances {
  readonly now: Date;
  /** How long a folder of a run that is not known must have been quiet, in ms. */
  readonly graceMs: number;
  readonly fate: RunFate | undefined;
  /** When the latest bytes of an unfinished file in the folder came. */
  readonly unfinished?: Date | undefined;
}

/** Whether a folder without a manifest is left over from a dead run; else why it is not touched. */
export type Verdict = { readonly isOrphan: true } | ({ readonly isOrphan: false } & Reprieve);

/** Why something is left where it is. */
export interface Reprieve {
  /** `busy`: its run may still go on. `young`: it may go later. `doubtful`: a person has to look at it. */
  readonly why: 'busy' | 'young' | 'doubtful';
  /** The same for people, as the rest of a sentence. */
  readonly reason: string;
  /** When it may go, if it is too young. */
  readonly until?: Date;
}

/** Gathers the set folders directly below the job folders of `prefix`; memory is that of their number. */
export async function findSetFolders(
  prefix: string,
  objects: AsyncIterable<ObjectInfo>,
): Promise<SetFolderFound[]> {
  const folders = new Map<string, FolderDraft>();
  for await (const object of objects) {
    const place = placeInSet(prefix, object.path);
    if (place === undefined) continue;
    const folder = folders.get(place.path) ?? draftOf(place, object.modified);
    folders.set(place.path, folder);
    addFile(folder, { ...object, name: place.name, kind: setFileKind(place.name) });
  }
  return [...folders.values()];
}

/** True for the path of a file that a run of ours could write, below whatever folder. */
export function isPathOfSetFile(path: string): boolean {
  const [name = '', runId = '', job = ''] = path.split('/').reverse();
  return openedAtOf(runId) !== undefined && isJobFolder(job) && setFileKind(name) !== undefined;
}

/**
 * Judges a folder that holds no manifest. Whatever is not understood keeps it: a backup that somebody may need
 * looks much like one that nobody does.
 */
export function judgeOrphan(folder: SetFolderFound, circumstances: Circumstances): Verdict {
  const { now, graceMs, fate, unfinished } = circumstances;
  if (folder.hasManifest) return doubtful('it is a backup set');
  if (fate === 'active') return BUSY;
  const strange = folder.files.find(({ kind }) => kind === undefined);
  if (strange !== undefined) return doubtful(`it holds ${strange.name}, which is no file of a backup set`);
  const clocks = clockProblem(folder, now);
  if (clocks !== undefined) return doubtful(clocks);
  // Written last before the manifest, or after it: more likely a manifest was lost than a run died just then.
  const isRemoved = isBeingRemoved(folder);
  const isWhole = folder.files.some(({ kind }) => kind === 'guide' || kind === 'annotations');
  if (isWhole && fate !== 'dead' && !isRemoved) {
    return doubtful(
      'only its manifest.json is missing, and its run is not known here: it may be worth keeping',
    );
  }
  const latest = Math.max(folder.newest.getTime(), folder.openedAt.getTime(), unfinished?.getTime() ?? 0);
  const isDead = fate === 'dead' || isRemoved;
  const until = new Date(latest + (isDead ? Math.min(graceMs, QUIET_MS) : graceMs));
  if (now < until) {
    const reason = `it was written to ${at(new Date(latest))}`;
    return { isOrphan: false, why: 'young', reason, until };
  }
  return { isOrphan: true };
}

/**
 * True when the files are what a removal of the set has not come to yet. Whoever has written there since, as a copy
 * of the set from another storage does, has begun it anew.
 */
export function isBeingRemoved({ files, newest }: SetFolderFound): boolean {
  const mark = files.find(({ kind }) => kind === 'removal');
  return mark !== undefined && newest.getTime() <= mark.modified.getTime() + ROUNDING_MS;
}

/** The files of an orphan in the order in which they go: the reverse of that in which they came. */
export function inRemovalOrder({ files }: SetFolderFound): FoundSetFile[] {
  const rank = ({ kind }: FoundSetFile) => REMOVAL.indexOf(kind);
  return files.toSorted((a, b) => rank(a) - rank(b) || b.modified.getTime() - a.modified.getTime());
}

/** True when the latest run's files are dated before the run: then no age in that storage can be believed. */
export function isClockBehind(folders: readonly SetFolderFound[]): boolean {
  const [latest] = folders.toSorted((a, b) => b.runId.localeCompare(a.runId));
  return latest !== undefined && isBefore(latest.oldest, latest.openedAt);
}

/** The verdict on the folder of a run that may still write. */
export const BUSY: Verdict & Reprieve = { isOrphan: false, why: 'busy', reason: 'its run is under way' };

/** The mark of a removal goes last: until then, what is left can be told from a set that lost its manifest. */
const REMOVAL: readonly (SetFileKind | undefined)[] = ['annotations', 'guide', 'sums', 'artifact', 'removal'];

interface SetPlace {
  readonly path: string;
  readonly runId: string;
  readonly openedAt: Date;
  readonly name: string;
}

function placeInSet(prefix: string, path: string): SetPlace | undefined {
  const below = prefix === '' ? path : path.slice(prefix.length + 1);
  const [job = '', runId = '', ...names] = below.split('/');
  const openedAt = openedAtOf(runId);
  if (openedAt === undefined || names.length === 0 || !isJobFolder(job)) return undefined;
  return { path: joinPath(prefix, job, runId), runId, openedAt, name: names.join('/') };
}

/** Some servers give names back in another normal form of Unicode. */
function isJobFolder(name: string): boolean {
  return safeName(name) === name.normalize('NFC');
}

interface FolderDraft extends SetFolderFound {
  hasManifest: boolean;
  files: FoundSetFile[];
  oldest: Date;
  newest: Date;
}

function draftOf({ path, runId, openedAt }: SetPlace, modified: Date): FolderDraft {
  return { path, runId, openedAt, hasManifest: false, files: [], oldest: modified, newest: modified };
}

function addFile(folder: FolderDraft, file: FoundSetFile): void {
  if (file.modified < folder.oldest) folder.oldest = file.modified;
  if (file.modified > folder.newest) folder.newest = file.modified;
  if (file.kind === 'manifest') folder.hasManifest = true;
  if (folder.hasManifest) folder.files = [];
  else folder.files.push(file);
}

function clockProblem({ openedAt, oldest, newest }: SetFolderFound, now: Date): string | undefined {
  const compare = 'compare the clocks of the storage and of this host';
  const future = [openedAt, newest].find((time) => isBefore(now, time));
  if (future !== undefined) return `it is dated ${future.toISOString()}, which is in the future: ${compare}`;
  if (isBefore(oldest, openedAt)) {
    return `it is dated ${oldest.toISOString()}, which is before its run: ${compare}`;
  }
  return undefined;
}

/** By more than clocks differ. */
function isBefore(time: Date, other: Date): boolean {
  return time.getTime() < other.getTime() - CLOCK_TOLERANCE_MS;
}

function doubtful(reason: string): Verdict {
  return { isOrphan: false, why: 'doubtful', reason };
}

function at(time: Date): string {
  return `at ${time.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}
