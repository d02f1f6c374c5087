import { orAbort } from '../abort.ts';
import { isStored } from '../backupset/manifest.ts';
import { ANNOTATIONS_FILE, joinPath, MANIFEST_FILE } from '../backupset/names.ts';
import { findSetFolders, isBeingRemoved, QUIET_MS } from '../backupset/orphans.ts';
import { removeFiles } from '../backupset/remove-files.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { ObjectLock } from '../destinations/driver.ts';
import { BackupError, type ErrorCode, errorAbout, throwIfAborted, toBackupError } from '../errors.ts';
import {
  floorOf,
  isKept,
  judge,
  type Reason,
  type RetentionPolicy,
  type SetQuality,
  type Verdict,
} from './policy.ts';
import { verdictText } from './reason-text.ts';
import { ofSet, removeMark, removeSet } from './remove-set.ts';
import { annotationsOf, excuseOf, type SurveyedSet, type SurveyRequest, surveyJob } from './survey.ts';

/** What a storage says that is not there, for nobody: the next set would only have to wait for it as well. */
const AWAY: readonly ErrorCode[] = ['unavailable', 'stalled'];

export interface PruneRequest extends Omit<SurveyRequest, 'now'> {
  readonly policy: RetentionPolicy;
  /** Without it, only tells what would be removed. */
  readonly remove: boolean;
  readonly clock?: Clock;
  /** Told after each set that was removed, or was to be. */
  onProgress?(done: number, total: number): void;
}

export interface PrunedSet {
  /** Folder of the set below the storage's root. */
  readonly path: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly status: 'complete' | 'partial';
  /** Stored bytes of all databases. */
  readonly bytes: number;
  readonly quality: SetQuality;
  /** It stays: the policy keeps it, or it could not be removed. */
  readonly kept: boolean;
  /** Why it stays. */
  readonly reasons: readonly Reason[];
  /** In a line: `kept: weekly 2026-W46`, `removed: no rule keeps it`. */
  readonly verdict: string;
  /** Why it is still there, or files of it, although it was to go. */
  readonly error?: BackupError;
}

/** What became of the sets of a job, or would. */
export interface PruneReport {
  readonly storage: string;
  readonly job: string;
  /** Whether sets were to be removed, not only judged. */
  readonly remove: boolean;
  /** Newest first; none when they could not be judged. */
  readonly sets: readonly PrunedSet[];
  /** Why sets that were to go are still there: with an error nothing is removed any more. */
  readonly error?: BackupError;
}

/**
 * Removes the sets of one job that no rule of the policy keeps, the oldest first. Nothing is removed when anything could
 * not be read, when a set is dated in the future, nor when the newest good set is not there any more. A set that cannot
 * be removed stays and is told of; the others go on, unless the storage is away.
 * @throws BackupError only when aborted
 */
export async function prune(request: PruneRequest): Promise<PruneReport> {
  const pruning = new Pruning(request);
  try {
    await pruning.run();
    return pruning.report();
  } catch (thrown) {
    throwIfAborted(request.signal);
    return pruning.report(toBackupError(thrown));
  }
}

/** True when everything went as it was to: sets that are locked stay rightly. */
export function isPruned({ error, sets }: PruneReport): boolean {
  return error === undefined && sets.every((set) => set.error === undefined);
}

class Pruning {
  readonly #request: PruneRequest;
  readonly #clock: Clock;
  #verdicts: readonly Verdict<SurveyedSet>[] = [];
  /** What was found about sets that no rule keeps, when it was their turn. */
  readonly #found = new Map<string, Outcome>();

  constructor(request: PruneRequest) {
    this.#request = request;
    this.#clock = request.clock ?? systemClock;
  }

  report(error?: BackupError): PruneReport {
    const { driver, job, remove } = this.#request;
    return {
      storage: driver.describe(),
      job,
      remove,
      sets: this.#verdicts.map((verdict) => this.#toPruned(verdict, error)),
      ...(error === undefined ? {} : { error }),
    };
  }

  async run(): Promise<void> {
    const { policy, remove, onProgress } = this.#request;
    const { sets, interrupted } = await surveyJob({ ...this.#request, now: this.#clock.now() });
    this.#verdicts = judge(sets, policy);
    const floor = floorOf(this.#verdicts.map(({ set }) => set));
    const condemned = this.#verdicts.filter((verdict) => !isKept(verdict)).reverse();
    for (const [index, { set }] of condemned.entries()) {
      if (floor === undefined) throw refusal(this.#request, 'there is no set that is done');
      this.#found.set(set.path, await this.#handle(set, floor));
      onProgress?.(index + 1, condemned.length);
    }
    if (!remove) return;
    await this.#removeMarks();
    for (const path of interrupted) await this.#finish(path);
  }

  async #handle(set: SurveyedSet, floor: SurveyedSet): Promise<Outcome> {
    const lock = await this.#lockOf(set);
    if (lock !== undefined) return { kept: lockReason(lock) };
    if (!this.#request.remove) return {};
    const excuse = await this.#lookAgain(set, floor);
    if (excuse !== undefined) return { kept: excuse };
    return await this.#remove(set);
  }

  /** Much may have happened since all sets were read. */
  async #lookAgain(set: SurveyedSet, floor: SurveyedSet): Promise<Reason | undefined> {
    const { driver, policy, signal } = this.#request;
    if (!(await this.#isUnchanged(floor))) {
      throw refusal(this.#request, `the newest good set ${floor.path} was removed or changed meanwhile`);
    }
    if (this.#isBusy(set)) return { rule: 'busy' };
    const annotations = await annotationsOf(driver, set.source, signal);
    const tag = annotations.value.tags.find((name) => policy.tags.includes(name));
    return excuseOf(annotations) ?? (tag === undefined ? undefined : { rule: 'tag', tag });
  }

  /** @throws BackupError when the next sets would fail as well */
  async #remove(set: SurveyedSet): Promise<Outcome> {
    const { signal } = this.#request;
    const { path } = set;
    let outcome: Outcome;
    try {
      const left = await this.#removeSet(set);
      if (left === undefined) return {};
      outcome = { error: errorAbout(path, left) };
    } catch (error) {
      throwIfAborted(signal);
      outcome = { kept: { rule: 'failed' }, error: errorAbout(path, error) };
    }
    this.#found.set(path, outcome);
    if (outcome.error !== undefined && AWAY.includes(outcome.error.code)) throw outcome.error;
    return outcome;
  }

  #removeSet(set: SurveyedSet): Promise<BackupError | undefined> {
    const { driver, prefix, signal } = this.#request;
    return removeSet({
      driver,
      prefix,
      path: set.path,
      reason: verdictText({ set, reasons: [] }),
      now: new Date(this.#clock.now()),
      isWriting: () => this.#isBusy(set),
      signal,
    });
  }

  /**
   * All files are asked about, since each can have a lock of its own, but for the annotations: they are written anew with
   * each verification, and would keep the set for ever.
   */
  async #lockOf({ files }: SurveyedSet): Promise<ObjectLock | undefined> {
    const { driver, signal } = this.#request;
    if (driver.lockOf === undefined) return undefined;
    let longest: ObjectLock | undefined;
    for (const [name, { path }] of files) {
      if (name === ANNOTATIONS_FILE) continue;
      const lock = await orAbort(driver.lockOf(path, signal), signal);
      if (lock !== undefined && (longest === undefined || isLonger(lock, longest))) longest = lock;
    }
    return longest;
  }

  /** A removal that was killed before it began, of a set that stays now. */
  async #removeMarks(): Promise<void> {
    const { driver, signal } = this.#request;
    for (const verdict of this.#verdicts) {
      const { path, isMarked } = verdict.set;
      const stays = isKept(verdict) || this.#found.get(path)?.kept !== undefined;
      if (isMarked && stays) await removeMark({ driver, path, signal });
    }
  }

  /** What a removal that was killed has left of a set. */
  async #finish(path: string): Promise<void> {
    const { driver, prefix, isBusy, signal } = this.#request;
    const [folder] = await findSetFolders(prefix, driver.list(path, signal));
    if (folder === undefined || !isBeingRemoved(folder)) return;
    if (folder.newest.getTime() > this.#clock.now() - QUIET_MS) return;
    const isWriting = () => isBusy?.(folder.runId) ?? false;
    await removeFiles(driver, ofSet(folder), { isWriting, signal });
  }

  /** Whether a set is there as it was read, and nobody has found it bad since. */
  async #isUnchanged({ path, files, source, annotations }: SurveyedSet): Promise<boolean> {
    const { driver, signal } = this.#request;
    const found = await orAbort(driver.stat(joinPath(path, MANIFEST_FILE), signal), signal);
    if (found === undefined || found.bytes !== files.get(MANIFEST_FILE)?.bytes) return false;
    const said = await annotationsOf(driver, source, signal);
    if (excuseOf(said)?.rule === 'annotations') return false;
    return said.value.knownBad === undefined || annotations.value.knownBad !== undefined;
  }

  #isBusy({ source }: SurveyedSet): boolean {
    return this.#request.isBusy?.(source.manifest.runId) ?? false;
  }

  #toPruned(verdict: Verdict<SurveyedSet>, error: BackupError | undefined): PrunedSet {
    const { set } = verdict;
    const { path, source, damage } = set;
    const { startedAt, status, artifacts } = source.manifest;
    const stopped: Outcome = error === undefined ? {} : { kept: { rule: 'stopped' } };
    const outcome = this.#found.get(path) ?? stopped;
    const { kept } = outcome;
    const reasons = isKept(verdict) || kept === undefined ? verdict.reasons : [kept];
    const said = verdictText({ set, reasons });
    return {
      path,
      startedAt,
      status,
      bytes: artifacts.filter(isStored).reduce((sum, artifact) => sum + artifact.stored.bytes, 0),
      quality: set.quality,
      kept: reasons.length > 0,
      reasons,
      verdict: damage === undefined ? said : `${said}: ${damage}`,
      ...(outcome.error === undefined ? {} : { error: outcome.error }),
    };
  }
}

interface Outcome {
  /** Why it stays all the same. */
  readonly kept?: Reason;
  readonly error?: BackupError;
}

function isLonger({ until }: ObjectLock, other: ObjectLock): boolean {
  if (other.until === undefined) return false;
  return until === undefined || until > other.until;
}

function lockReason({ until }: ObjectLock): Reason {
  return until === undefined ? { rule: 'locked' } : { rule: 'locked', until: until.toISOString() };
}

function refusal({ driver, job }: PruneRequest, why: string): BackupError {
  return new BackupError(
    'unavailable',
    `Nothing more of the job ${job} in ${driver.describe()} is removed: ${why}`,
    { transient: true },
  );
}
