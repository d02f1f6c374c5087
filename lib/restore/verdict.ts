import { hostname } from 'node:os';
import { withVerification } from '../backupset/annotation-changes.ts';
import { type Annotations, shortMessage, type Verification } from '../backupset/annotation-format.ts';
import { updateAnnotations } from '../backupset/annotations.ts';
import { type Asked, remedyOf } from '../backupset/known-bad.ts';
import { manifestDigest } from '../backupset/manifest.ts';
import type { BackupSet } from '../backupset/reader.ts';
import { type Clock, systemClock } from '../clock.ts';
import { BackupError, type ErrorCode, throwIfAborted, toBackupError } from '../errors.ts';
import type { VerifyReport } from './verify.ts';

/** What a verification says about the set. `unknown`: something kept it from coming to a verdict. */
export type Verdict = 'good' | 'bad' | 'unknown';

/** Errors that are the set's own, and not those of the way to it, of keys, or of a server. */
const OF_THE_SET: ReadonlySet<ErrorCode> = new Set(['corrupt', 'incomplete', 'not-found']);

/** True when a set for which a verification failed so does not hold. */
export function condemns({ code, transient }: BackupError): boolean {
  return OF_THE_SET.has(code) && !transient;
}

export function verdictOf({ ok, artifacts }: VerifyReport): Verdict {
  if (ok) return 'good';
  const isBad =
    artifacts.length === 0 || artifacts.some(({ error }) => error !== undefined && condemns(error));
  return isBad ? 'bad' : 'unknown';
}

/** Each thing that is wrong, in a line. */
export function problemsIn({ artifacts }: VerifyReport): string[] {
  if (artifacts.length === 0) return ['It holds no database'];
  return artifacts.flatMap(({ file, ok, error }) => (ok ? [] : [`${file}: ${error?.message ?? 'failed'}`]));
}

/** What a verification that failed ends with. */
export function verificationError(report: VerifyReport): BackupError {
  const { set, artifacts } = report;
  const errors = artifacts.flatMap(({ error }) => error ?? []);
  const worst = errors.find(condemns) ?? errors[0];
  const failed = artifacts.filter(({ ok }) => !ok).length;
  return new BackupError(
    worst?.code ?? 'corrupt',
    `${failed} of ${artifacts.length} files of set ${set} did not pass: ${problemsIn(report).join('; ')}`,
    { transient: worst?.transient ?? false },
  );
}

/** What became of writing a verification down beside the set. */
export interface Recorded {
  readonly verdict: Verdict;
  /** What was to be written; absent without a verdict. */
  readonly verification?: Verification;
  /** Why it does not stand there, if so. */
  readonly error?: BackupError;
  /** Why a set that held is known as bad: this verification looked at less than what has failed before. */
  readonly stillBad?: string;
}

export interface RecordOptions {
  readonly signal: AbortSignal;
  readonly clock?: Clock;
  /** A person says that assertions that failed before were wrong. */
  readonly forgetAssertions?: boolean;
}

/**
 * Writes a verification down beside the set: one that failed makes it known as bad, one that succeeded may take that
 * back. Without a verdict nothing is written.
 * @returns `unknown` as well for a set that was removed while it was looked at
 * @throws BackupError only when aborted
 */
export async function recordVerification(
  set: BackupSet,
  report: VerifyReport,
  { signal, clock = systemClock, forgetAssertions = false }: RecordOptions,
): Promise<Recorded> {
  const verdict = verdictOf(report);
  if (verdict === 'unknown') return { verdict };
  const found = report.artifacts.flatMap(({ database, found: what }) =>
    what === undefined ? [] : [`${database}: ${what}`],
  );
  const message = verdict === 'good' ? found : problemsIn(report);
  const verification: Verification = {
    at: new Date(clock.now()).toISOString(),
    level: report.level,
    ok: verdict === 'good',
    ...(message.length === 0 ? {} : { message: shortMessage(message.join('; ')) }),
    host: hostname(),
  };
  const manifest = manifestDigest(set.manifest);
  const asked = { ...askedIn(report), forgetsEarlier: forgetAssertions, manifest };
  const change = (current: Annotations) => withVerification(current, verification, asked);
  try {
    const { knownBad } = await updateAnnotations(set.driver, set.path, change, { signal, clock });
    if (verdict === 'bad' || knownBad === undefined) return { verdict, verification };
    return { verdict, verification, stillBad: `${knownBad.reason}; ${remedyOf(knownBad)}` };
  } catch (thrown) {
    throwIfAborted(signal);
    const error = toBackupError(thrown);
    if (error.code === 'not-found') return { verdict: 'unknown', error };
    return { verdict, verification, error };
  }
}

function askedIn({ artifacts }: VerifyReport): Asked {
  const answers = artifacts.flatMap(({ database, assertions = [] }) =>
    assertions.map(({ text, held }) => ({ held, asked: { database, text } })),
  );
  return {
    held: answers.filter(({ held }) => held).map(({ asked }) => asked),
    failed: answers.filter(({ held }) => !held).map(({ asked }) => asked),
  };
}
