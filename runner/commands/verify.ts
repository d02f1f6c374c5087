import { isStored } from '../../lib/backupset/manifest.ts';
import type { BackupSet } from '../../lib/backupset/reader.ts';
import { isAsDeep, type VerifyLevel } from '../../lib/backupset/verify-levels.ts';
import { BackupError, toBackupError } from '../../lib/errors.ts';
import { EMPTY_KEY_RING, type KeyRing } from '../../lib/keys/keys.ts';
import { parseAssertion } from '../../lib/restore/assertions.ts';
import { sweepScratches, type TestPlace } from '../../lib/restore/test-restore.ts';
import { recordVerification, verdictOf } from '../../lib/restore/verdict.ts';
import { type VerifyReport, verifySet } from '../../lib/restore/verify.ts';
import { formatBytes } from '../../nodes/status/quantities.ts';
import type { CommandBody, CommandContext } from '../command.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { printable } from '../format.ts';
import { type KeyOptions, keyRing } from '../key-options.ts';
import { errorJson } from '../output.ts';
import { createMeter } from '../report/meter.ts';
import { openServer, type ServerOptions } from '../server-options.ts';
import { openPlace, type StorageOptions } from '../storage-options.ts';
import { findSets } from '../stored-sets.ts';

export interface VerifyInput extends StorageOptions, ServerOptions, KeyOptions {
  /** `latest`, `all`, `random`, `unverified`, or a set. */
  readonly set: string;
  readonly job?: string;
  readonly level: VerifyLevel;
  /** What restored databases must answer. */
  readonly assert?: readonly string[];
  /** Assertions that failed before were wrong: they need not be asked again. */
  readonly forgetAssertions?: boolean;
  /** Folder for SQLite files, and for what tools need beside. */
  readonly scratch?: string;
  /** Write what was found beside the set. */
  readonly record: boolean;
  readonly json?: boolean;
}

/** Checks sets. A partial set whose stored files hold is reported as partial, not as ok. */
export const verify: CommandBody<VerifyInput> = async (input, context) => {
  const { output, signal, env } = context;
  refuseToForget(input);
  const test = await testPlace(input, env);
  const place = await openPlace(input, env);
  const sets = await findSets(place, { set: input.set, job: input.job, signal }, input.level);
  const keys = isAsDeep(input.level, 'content') ? await keyRing(input, env) : EMPTY_KEY_RING;
  if (input.level === 'restore') await sweep(test, context);
  const codes: ExitCode[] = [];
  const answers: object[] = [];
  for (const set of sets) {
    const { report, stillBad } = await verifyOne(set, input, { test, keys, context });
    const missing = set.manifest.artifacts.filter((artifact) => !isStored(artifact));
    if (!input.json) output.print(reportText(report));
    for (const { database } of missing) {
      output.note(printable(`${database}: not in this set, its dump failed`));
    }
    const mark = stillBad === undefined ? {} : { stillBad };
    answers.push({ ...reportJson(report), status: set.manifest.status, ...mark });
    codes.push(exitCodeFor(report, missing.length));
  }
  if (input.json) output.json(answers.length === 1 ? answers[0] : { level: input.level, sets: answers });
  return codes.find((code) => code === EXIT.failed) ?? codes.find((code) => code !== EXIT.ok) ?? EXIT.ok;
};

/** @throws BackupError `invalid-config` where no assertions are asked, or nothing is written */
function refuseToForget({ forgetAssertions = false, level, record }: VerifyInput): void {
  if (!forgetAssertions || (level === 'restore' && record)) return;
  throw new BackupError(
    'invalid-config',
    '--forget-assertions is for test restores that are written down: give --level restore, and no --no-record',
  );
}

/** @throws BackupError `invalid-config` for what is no assertion, or no server */
async function testPlace(input: VerifyInput, env: CommandContext['env']): Promise<TestPlace> {
  const assertions = (input.assert ?? []).map(parseAssertion);
  const folder = input.scratch ?? '';
  if (input.server === undefined) return { folder, assertions };
  return { folder, assertions, server: await openServer(input, env) };
}

interface Means {
  readonly test: TestPlace;
  readonly keys: KeyRing;
  readonly context: CommandContext;
}

interface Verified {
  readonly report: VerifyReport;
  /** Why the set is known as bad though it held. */
  readonly stillBad?: string;
}

async function verifyOne(
  set: BackupSet,
  input: VerifyInput,
  { test, keys, context: { output, signal } }: Means,
): Promise<Verified> {
  const { level, record } = input;
  const meter = await createMeter('verifying');
  const onProgress = meter.update;
  const report = await verifySet({ set, level, keys, place: test, signal, onProgress }).finally(meter.stop);
  if (!record) return { report };
  const stillBad = await writeDown(set, report, input, { output, signal });
  return { report, ...(stillBad === undefined ? {} : { stillBad }) };
}

/** @returns why the set is known as bad though it held */
async function writeDown(
  set: BackupSet,
  report: VerifyReport,
  { forgetAssertions = false }: VerifyInput,
  { output, signal }: Pick<CommandContext, 'output' | 'signal'>,
): Promise<string | undefined> {
  const recording = { signal, forgetAssertions };
  const { verdict, error, stillBad } = await recordVerification(set, report, recording);
  if (error !== undefined) {
    output.note(printable(`What was found is not written beside the set: ${error.message}`));
  } else if (verdict === 'bad') output.note(printable(`${set.path} is known as bad from now on`));
  if (stillBad !== undefined) {
    output.note(printable(`${set.path} holds, but stays known as bad: ${stillBad}`));
  }
  return stillBad;
}

/** What killed test restores have left must not pile up; that it stays is no reason not to verify. */
async function sweep(test: TestPlace, { output, signal }: CommandContext): Promise<void> {
  try {
    for (const name of await sweepScratches(test, signal))
      output.note(`removed ${name}, left by a killed test restore`);
  } catch (error) {
    output.note(
      printable(`What killed test restores have left was not looked for: ${toBackupError(error).message}`),
    );
  }
}

function exitCodeFor(report: VerifyReport, missing: number): ExitCode {
  if (!report.ok) return EXIT.failed;
  return missing > 0 ? EXIT.partial : EXIT.ok;
}

function reportText(report: VerifyReport): string {
  const lines = report.artifacts.map(({ file, ok, bytes, found, error }) =>
    ok
      ? `ok      ${file} (${formatBytes(bytes)})${found === undefined ? '' : `: ${found}`}`
      : `FAILED  ${file}: ${error?.message}`,
  );
  const failed = report.artifacts.filter(({ ok }) => !ok).length;
  const unknown = verdictOf(report) === 'unknown' ? ', which says nothing about the set' : '';
  const verdict = report.ok
    ? `${report.set} holds (level ${report.level})`
    : `${report.set}: ${failed} of ${report.artifacts.length} files failed (level ${report.level})${unknown}`;
  return [...lines, verdict].map(printable).join('\n');
}

function reportJson(report: VerifyReport) {
  return {
    ...report,
    verdict: verdictOf(report),
    artifacts: report.artifacts.map(({ error, ...artifact }) => ({
      ...artifact,
      ...(error === undefined ? {} : { error: errorJson(error) }),
    })),
  };
}
