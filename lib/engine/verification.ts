import { hostname } from 'node:os';
import { withVerification } from '../backupset/annotation-changes.ts';
import type { Annotations, Verification } from '../backupset/annotation-format.ts';
import { updateAnnotations } from '../backupset/annotations.ts';
import { NOTHING_ASKED } from '../backupset/known-bad.ts';
import { isStored, manifestDigest, manifestText } from '../backupset/manifest.ts';
import { joinPath, MANIFEST_FILE } from '../backupset/names.ts';
import { readStored } from '../backupset/stored-stream.ts';
import { drain, readAll } from '../bytes/drain.ts';
import { readSteadily } from '../destinations/steady-read.ts';
import { BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import { condemns } from '../restore/verdict.ts';
import type { CommittedSet } from '../runs/outcome.ts';
import type { DestinationRun } from './destination-run.ts';
import type { ProgressMeter } from './progress.ts';
import { attemptText, type Retries } from './retries.ts';
import type { RunAccount } from './run-account.ts';

export interface VerificationContext {
  readonly account: RunAccount;
  readonly meter: ProgressMeter;
  readonly retries: Retries;
  readonly signal: AbortSignal;
}

/**
 * Reads committed sets back until so many hold, byte by byte. Those that do not are told, and known as bad from then
 * on.
 * @throws BackupError when the signal aborts
 */
export async function verifyCopies(copies: number, context: VerificationContext): Promise<void> {
  const { account, meter } = context;
  const committed = (status: 'complete' | 'partial') =>
    account.destinations.filter((destination) => destination.committed?.manifest.status === status);
  const untested = [...committed('complete'), ...committed('partial')];
  let good = 0;
  while (good < copies && untested.length > 0) {
    meter.stage('verifying');
    const batch = untested.splice(0, copies - good);
    await Promise.all(batch.map((destination) => verify(destination, context)));
    good += batch.filter(({ verified }) => verified).length;
  }
}

async function verify(destination: DestinationRun, context: VerificationContext): Promise<void> {
  const { account, retries, signal } = context;
  const { binding, node, committed } = destination;
  if (committed === undefined) return;
  const { destinationAttempts: attempts } = retries.limits;
  for (let attempt = 1; ; attempt += 1) {
    try {
      await readBack(destination, committed, context);
      destination.prove();
      account.notice('info', `${binding.label} was read back: the set holds`, node);
      account.verified(destination);
      await writeDown(destination, committed, undefined, context);
      return;
    } catch (thrown) {
      throwIfAborted(signal);
      const error = toBackupError(thrown);
      if (!error.transient || attempt >= attempts) {
        destination.doubt(unproven(error));
        account.notice('warn', `${binding.label}: ${unproven(error).message}`, node);
        if (!condemns(error)) return;
        account.verified(destination, unproven(error));
        await writeDown(destination, committed, error, context);
        return;
      }
      const ms = retries.pauseAfter(attempt);
      const next = attemptText({ attempt: attempt + 1, attempts, seconds: Math.ceil(ms / 1000) });
      account.notice('warn', `${binding.label} could not be read back: ${error.message}; ${next}`, node);
      await retries.wait(ms, signal, () => undefined);
    }
  }
}

/** Beside the set, where retention and people find it. That it cannot be written there is told, and no more. */
async function writeDown(
  { node, binding, folder }: DestinationRun,
  { manifest }: CommittedSet,
  error: BackupError | undefined,
  { account, signal }: VerificationContext,
): Promise<void> {
  const verification: Verification = {
    at: new Date().toISOString(),
    level: 'hash',
    ok: error === undefined,
    ...(error === undefined ? {} : { message: error.message }),
    host: hostname(),
  };
  try {
    const asked = { ...NOTHING_ASKED, manifest: manifestDigest(manifest), isOriginal: true };
    const change = (current: Annotations) => withVerification(current, verification, asked);
    await updateAnnotations(binding.driver, folder.path, change, { signal });
  } catch (thrown) {
    throwIfAborted(signal);
    const why = toBackupError(thrown).message;
    account.notice('warn', `${binding.label}: what was found is not written beside the set: ${why}`, node);
  }
}

/** @throws BackupError `corrupt` or `incomplete` when it is not what was stored, else of the storage */
async function readBack(
  { node, binding: { driver }, folder }: DestinationRun,
  { manifest }: CommittedSet,
  { meter }: VerificationContext,
): Promise<void> {
  const { path, signal, stallMs } = folder;
  const manifestPath = joinPath(path, MANIFEST_FILE);
  const where = `${driver.describe()}/${manifestPath}`;
  const expected = Buffer.from(manifestText(manifest));
  const found = await readAll(
    readSteadily(driver, manifestPath, { signal, stallMs }),
    expected.length,
    where,
  );
  if (!expected.equals(found))
    throw new BackupError('corrupt', `${where} is not the manifest that was stored`);
  let before = 0;
  for (const artifact of manifest.artifacts.filter(isStored)) {
    const bytes = readStored(driver, path, artifact, { signal, stallMs });
    await drain(bytes, (total) => meter.stored(node, before + total));
    before += artifact.stored.bytes;
  }
}

/** The set stays: somebody may want to look at it. */
function unproven(error: BackupError): BackupError {
  const { code, transient, message } = error;
  const what = condemns(error) ? 'The stored set does not hold' : 'The stored set could not be read back';
  return new BackupError(code, `${what}: ${message}`, { transient, cause: error });
}
