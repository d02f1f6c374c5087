import type { Annotations } from '../backupset/annotation-format.ts';
import { annotationsOf, updateAnnotations } from '../backupset/annotations.ts';
import type { BackupSet } from '../backupset/reader.ts';
import { isSuspicious, NORMAL_TAG, withoutSuspicion, withSuspicion } from '../backupset/suspicion.ts';
import type { Clock } from '../clock.ts';
import type { DestinationDriver } from '../destinations/driver.ts';
import { BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import { lastGoodSets, newestGoodSet, setsOfJob } from './job-history.ts';
import {
  aboutContent,
  type Finding,
  type GuardVerdict,
  judgeAge,
  judgeBackup,
  withFindings,
} from './judge.ts';
import type { GuardLimits } from './limits.ts';
import { observe } from './observation.ts';

/** Whose backups are looked at. */
export interface GuardedJob {
  readonly driver: DestinationDriver;
  /** Folder under the storage's root, as the destination node has it. */
  readonly prefix: string;
  readonly job: string;
  /** The backup that is judged; the newest one without it. */
  readonly set?: BackupSet;
}

export interface GuardRequest extends GuardedJob {
  /** Its name: only a mark of its own is taken back. */
  readonly guard: string;
  readonly limits: GuardLimits;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Is told of a set that cannot be read: it is none to compare with. */
  onUnreadable(error: BackupError): void;
}

/** `msg.anomaly`: what was found, in plain JSON. */
export interface Anomaly extends GuardVerdict {
  readonly job: string;
  readonly storage: string;
  /** The set that was judged, below the storage's root; absent when there is none. */
  readonly set?: string;
  /** Why others take the set for suspicious, though it is as usual to this guard. */
  readonly others?: string;
}

export interface GuardReport {
  readonly anomaly: Anomaly;
  /** Of the set. */
  readonly runId?: string;
  /** The verdict in a sentence. */
  readonly summary: string;
  /** Why the set could not be marked as suspicious. */
  readonly unmarked?: BackupError;
}

/** What became of the mark of a set. */
interface Marked {
  /** Why it could not be set. That one could not be taken back does no harm. */
  readonly unmarked?: BackupError;
  /** Why others take a set for suspicious that is as usual to this guard. */
  readonly others?: string;
}

/**
 * Judges a stored backup by the good ones of its job that are older, and marks it when it is suspicious.
 * @throws BackupError of the storage; `not-found` when there is no set, and no limit says how old the last may be
 */
export async function guardBackup(request: GuardRequest): Promise<GuardReport> {
  const { driver, job, limits, clock, signal } = request;
  const storage = driver.describe();
  const set = request.set ?? (await newestOf(request));
  if (set === undefined && limits.maxAgeHours === 0) {
    throw new BackupError('not-found', `${storage} holds no backup set of the job ${job}`);
  }
  const judged = set === undefined ? NOTHING_TO_JUDGE : await judgeSet(set, request);
  const { unmarked, others } = set === undefined ? {} : await mark(set, judged, request);
  const found = limits.maxAgeHours === 0 ? [] : await ageFindings(request, clock.now());
  const verdict = found.length === 0 ? judged : withFindings(judged, found);
  throwIfAborted(signal);
  return {
    anomaly: {
      job,
      storage,
      ...(set === undefined ? {} : { set: set.path }),
      ...verdict,
      ...(others === undefined ? {} : { others }),
    },
    ...(set === undefined ? {} : { runId: set.manifest.runId }),
    summary: `${summaryOf(job, verdict)}${others === undefined ? '' : `; others take it for suspicious: ${others}`}`,
    ...(unmarked === undefined ? {} : { unmarked }),
  };
}

const NOTHING_TO_JUDGE: GuardVerdict = {
  verdict: 'unknown',
  compared: 0,
  needed: 0,
  findings: [],
  notCompared: [],
};

async function newestOf(request: GuardRequest): Promise<BackupSet | undefined> {
  for await (const set of setsOfJob(request.driver, request)) return set;
  return undefined;
}

async function judgeSet(set: BackupSet, request: GuardRequest): Promise<GuardVerdict> {
  const { driver, limits, signal } = request;
  const { value } = await annotationsOf(set, { signal });
  // What a person has called normal begins a new series.
  const isFirst = value.tags.includes(NORMAL_TAG);
  const older = olderThan(set, setsOfJob(driver, request));
  const before = isFirst ? [] : await lastGoodSets(older, limits.runs, signal);
  return judgeBackup(
    observe(set.manifest),
    before.map(({ manifest }) => observe(manifest)),
    limits,
  );
}

async function* olderThan(
  { path, manifest }: BackupSet,
  sets: AsyncIterable<BackupSet>,
): AsyncGenerator<BackupSet, undefined> {
  for await (const set of sets) {
    if (set.path !== path && set.manifest.startedAt < manifest.startedAt) yield set;
  }
}

async function mark(
  set: BackupSet,
  { verdict, findings }: GuardVerdict,
  { driver, guard, clock, signal }: GuardRequest,
): Promise<Marked> {
  const against = aboutContent(findings);
  // Too few sets to compare with take back nothing that was found when there were more.
  if (against.length === 0 && verdict === 'unknown') return {};
  const reason = sentence(against);
  const at = new Date(clock.now());
  const change = (current: Annotations) =>
    against.length > 0 ? withSuspicion(current, guard, reason, at) : withoutSuspicion(current, guard);
  try {
    const after = await updateAnnotations(driver, set.path, change, { signal, clock });
    const isOfOthers = against.length === 0 && isSuspicious(after);
    return isOfOthers && after.suspicious !== undefined ? { others: after.suspicious.reason } : {};
  } catch (error) {
    throwIfAborted(signal);
    return against.length > 0 ? { unmarked: toBackupError(error) } : {};
  }
}

async function ageFindings(request: GuardRequest, now: number): Promise<Finding[]> {
  const newest = await newestGoodSet(setsOfJob(request.driver, request), request.signal);
  const startedAt = newest === undefined ? undefined : Date.parse(newest.manifest.startedAt);
  return judgeAge(startedAt, now, request.limits);
}

function summaryOf(job: string, { verdict, compared, needed, findings, notCompared }: GuardVerdict): string {
  switch (verdict) {
    case 'suspicious':
      return `The backup of ${job} is unusual: ${sentence(findings)}`;
    case 'unknown':
      return `Whether the backup of ${job} is usual is not known yet: there are ${compared} of the ${needed} good sets to compare it with`;
    case 'fine': {
      const others = notCompared.length === 0 ? '' : `; too new to be compared: ${notCompared.join(', ')}`;
      return `The backup of ${job} is as usual, compared with the last ${compared} good ones${others}`;
    }
  }
}

function sentence(findings: readonly Finding[]): string {
  return findings.map(({ message }) => message).join('; ');
}
