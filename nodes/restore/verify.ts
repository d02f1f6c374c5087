import type { NodeStatus } from 'node-red';
import { z } from 'zod';
import type { Verification } from '../../lib/backupset/annotation-format.ts';
import type { BackupSet } from '../../lib/backupset/reader.ts';
import { VERIFY_LEVELS, type VerifyLevel } from '../../lib/backupset/verify-levels.ts';
import { BackupError, toBackupError } from '../../lib/errors.ts';
import { eventError } from '../../lib/events/run-event.ts';
import { oneLine } from '../../lib/events/summaries.ts';
import type { KeyRing } from '../../lib/keys/keys.ts';
import { parseAssertion } from '../../lib/restore/assertions.ts';
import { sweepScratches, type TestPlace } from '../../lib/restore/test-restore.ts';
import { problemsIn, recordVerification, verificationError } from '../../lib/restore/verdict.ts';
import { type VerifyReport, verifySet } from '../../lib/restore/verify.ts';
import { type BackupMessage, type Deliver, defineNode, type NodeContext } from '../define-node.ts';
import { configNode, nodeName } from '../forms/common-fields.ts';
import { byteProgress, success } from '../status/status-text.ts';
import { keysOf, setChoices } from './choose-set.ts';
import { chooseSets, type SampleChoice, sampleChoices } from './choose-sets.ts';
import { restoreOptions, restoreServer, serverRestoreOptions } from './restore-options.ts';

const first = { name: nodeName };
const rest = {
  level: z.enum(VERIFY_LEVELS).default('hash').meta({ icon: 'fa-check-square-o' }),
  key: configNode(['dbackup-key'], 'fa-key').optional(),
  server: restoreOptions.server,
  assertions: z
    .array(z.string().regex(/\S => \S/, 'must be SELECT … => expected'))
    .default([])
    .meta({ icon: 'fa-question-circle-o', placeholder: 'SELECT count(*) FROM orders => >= 1000' }),
  spoolDirectory: serverRestoreOptions.spoolDirectory,
};

type Settings = SampleChoice & {
  readonly level: VerifyLevel;
  readonly key?: string | undefined;
  readonly server?: string | undefined;
  readonly assertions: readonly string[];
  readonly spoolDirectory: string;
};

/** Checks stored backup sets: from a look at their files to a restore for a test. */
export const verifyNode = defineNode({
  type: 'dbackup-verify',
  set: 'restore',
  role: 'restore',
  icon: 'dbackup-verify.svg',
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  schema: z.discriminatedUnion('from', [
    z.object({ ...first, ...setChoices.message, ...rest }),
    z.object({ ...first, ...setChoices.latest, ...rest }),
    z.object({ ...first, ...setChoices.path, ...rest }),
    z.object({ ...first, ...sampleChoices.random, ...rest }),
    z.object({ ...first, ...sampleChoices.unverified, ...rest }),
    z.object({ ...first, ...sampleChoices.all, ...rest }),
  ]),
  setup: (context) => ({ onInput: (message, deliver) => verify(context, message, deliver) }),
});

async function verify(
  context: NodeContext<Settings>,
  message: BackupMessage,
  deliver: Deliver,
): Promise<void> {
  const { settings, runtime } = context;
  const { level } = settings;
  const signal = runtime.closing;
  const place = placeOf(context);
  const forgetAssertions = wantsToForget(message, level);
  const keys = await keysOf(context, settings.key);
  const { sets, unreadable } = await chooseSets(context, settings, message, { level, signal });
  if (level === 'restore') await sweep(context, place, signal);
  const means = { place, keys, signal, forgetAssertions };
  const reports: Verified[] = [];
  for (const set of sets) reports.push(await verifyOne(context, set, means));
  const payload = settings.from === 'all' ? plainReports(level, reports, unreadable) : plainReport(reports);
  // Sets that cannot be read must not look as if they had been verified.
  const failures = [...reports.filter(({ ok }) => !ok).map(verificationError), ...unreadable];
  if (failures.length > 0) {
    // The Catch node that gets the error gets the report with it.
    message.payload = payload;
    throw together(failures);
  }
  context.status(statusOf(context, reports));
  deliver({ ...message, payload });
}

/** @throws BackupError `invalid-config` when the place is not set up, or an assertion is none */
function placeOf(context: NodeContext<Settings>): TestPlace {
  const { server, assertions, spoolDirectory } = context.settings;
  return {
    server: restoreServer(context, server),
    folder: spoolDirectory,
    assertions: assertions.map(parseAssertion),
  };
}

/** @throws BackupError `invalid-config` when the message wants it where no assertions are asked */
function wantsToForget(message: BackupMessage, level: VerifyLevel): boolean {
  // A person says that assertions that failed before were wrong.
  const { forgetAssertions = false } = message as Readonly<Record<string, unknown>>;
  if (forgetAssertions === false) return false;
  if (forgetAssertions === true && level === 'restore') return true;
  throw new BackupError(
    'invalid-config',
    'msg.forgetAssertions is true or false, and true only for a node that restores for a test: set its level to that',
  );
}

interface Means {
  readonly place: TestPlace;
  readonly keys: KeyRing;
  readonly signal: AbortSignal;
  readonly forgetAssertions: boolean;
}

/** A report, and why its set is known as bad though it held. */
interface Verified extends VerifyReport {
  readonly stillBad?: string;
}

async function verifyOne(
  context: NodeContext<Settings>,
  set: BackupSet,
  { place, keys, signal, forgetAssertions }: Means,
): Promise<Verified> {
  const { settings, runtime } = context;
  const onProgress = (done: number, total: number) => context.progress(byteProgress(done, total));
  const report = await verifySet({ set, level: settings.level, keys, place, signal, onProgress });
  const recording = { signal, clock: runtime.clock, forgetAssertions };
  const { verdict, verification, error, stillBad } = await recordVerification(set, report, recording);
  if (error !== undefined) context.warn(`What was found is not written beside the set: ${error.message}`);
  if (verification !== undefined) remember(context, set, verification);
  if (verdict === 'bad') tell(context, set, report);
  if (stillBad === undefined) return report;
  context.warn(`${set.path} holds, but stays known as bad: ${stillBad}`);
  return { ...report, stillBad };
}

function remember(
  context: NodeContext<Settings>,
  { driver, path, manifest }: BackupSet,
  { at, level, ok, message }: Verification,
): void {
  const { job, runId: run } = manifest;
  const storage = driver.describe();
  context.runtime.verifications.add({ at, job, run, storage, path, level, ok, message: message ?? null });
}

function tell(context: NodeContext<Settings>, { driver, path, manifest }: BackupSet, report: VerifyReport) {
  const error = verificationError(report);
  context.runtime.happenings.tell({
    event: 'verification-failed',
    job: manifest.job,
    runId: manifest.runId,
    storage: driver.describe(),
    path,
    level: report.level,
    error: eventError(error),
    problems: problemsIn(report).map(oneLine),
    summary: oneLine(`The backup set ${path} of ${manifest.job} does not hold: ${error.message}`),
  });
}

/** What killed test restores have left must not pile up; that it stays is no reason not to verify. */
async function sweep(context: NodeContext<unknown>, place: TestPlace, signal: AbortSignal): Promise<void> {
  try {
    const swept = await sweepScratches(place, signal);
    if (swept.length > 0) context.warn(`Removed what killed test restores had left: ${swept.join(', ')}`);
  } catch (error) {
    context.warn(`What killed test restores have left was not looked for: ${toBackupError(error).message}`);
  }
}

function plainReport([report]: readonly Verified[]) {
  if (report === undefined) throw new BackupError('internal', 'Nothing was verified');
  const { set, level, ok, artifacts, stillBad } = report;
  const files = artifacts.map(({ database, file, bytes, ok: fine, found, error }) => ({
    database,
    file,
    bytes,
    ok: fine,
    ...(found === undefined ? {} : { found }),
    ...(error === undefined ? {} : { error: error.message }),
  }));
  return { set, level, ok, files, ...(stillBad === undefined ? {} : { stillBad }) };
}

function plainReports(level: VerifyLevel, reports: readonly Verified[], unreadable: readonly BackupError[]) {
  const sets = reports.map((report) => plainReport([report]));
  return { level, ok: unreadable.length === 0 && sets.every(({ ok }) => ok), sets };
}

function together([only, ...others]: readonly BackupError[]): BackupError {
  if (only === undefined || others.length === 0) return only ?? new BackupError('internal', 'Nothing failed');
  const messages = [only, ...others].map(({ message }) => message);
  return new BackupError(only.code, messages.join('. '), { transient: false });
}

/** What the node shows when all held. */
function statusOf({ type, text }: NodeContext<Settings>, reports: readonly Verified[]): NodeStatus {
  const status = success(new Date(), sum(reports));
  if (reports.every(({ stillBad }) => stillBad === undefined)) return status;
  return { ...status, fill: 'yellow', text: `${status.text} · ${text(`${type}.status.stillBad`)}` };
}

function sum(reports: readonly VerifyReport[]): number {
  return reports.flatMap(({ artifacts }) => artifacts).reduce((total, { bytes }) => total + bytes, 0);
}
