import { orAbort } from '../abort.ts';
import { isStored, type StoredArtifact } from '../backupset/manifest.ts';
import { joinPath } from '../backupset/names.ts';
import type { BackupSet } from '../backupset/reader.ts';
import { readStored } from '../backupset/stored-stream.ts';
import { isAsDeep, type VerifyLevel } from '../backupset/verify-levels.ts';
import { drain } from '../bytes/drain.ts';
import { BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import type { KeyRing } from '../keys/keys.ts';
import { assertionText } from './assertions.ts';
import { isServerWide } from './choose-artifact.ts';
import { readRaw } from './raw-stream.ts';
import { type TestPlace, type TestRestoreRequest, testRestore } from './test-restore.ts';

export interface VerifyRequest {
  readonly set: BackupSet;
  readonly level: VerifyLevel;
  readonly keys: KeyRing;
  /** Where databases are restored on the level `restore`. */
  readonly place?: TestPlace;
  readonly signal: AbortSignal;
  /** Bytes read so far, over all artifacts, and how many there are (stored up to `hash`, raw beyond). */
  onProgress?(done: number, total: number): void;
}

export interface AssertionAnswer {
  /** `SELECT count(*) FROM orders => >= 1000` */
  readonly text: string;
  readonly held: boolean;
}

export interface ArtifactVerdict {
  readonly database: string;
  readonly file: string;
  readonly ok: boolean;
  /** Stored bytes that the manifest names. */
  readonly bytes: number;
  /** What a test restore has found. */
  readonly found?: string;
  /** What a test restore has asked the restored database; absent when it asked nothing. */
  readonly assertions?: readonly AssertionAnswer[];
  readonly error?: BackupError;
}

export interface VerifyReport {
  readonly set: string;
  readonly level: VerifyLevel;
  /** There are stored artifacts and every one holds. Databases whose dump failed are not part of the verdict. */
  readonly ok: boolean;
  readonly artifacts: readonly ArtifactVerdict[];
}

/**
 * Checks every artifact of a set; one that fails does not keep the others from being checked.
 * @throws BackupError only when aborted
 */
export async function verifySet(request: VerifyRequest): Promise<VerifyReport> {
  const { set, level } = request;
  const stored = set.manifest.artifacts.filter(isStored);
  const sizeOf = (artifact: StoredArtifact) =>
    isAsDeep(level, 'content') ? artifact.raw.bytes : artifact.stored.bytes;
  const total = stored.reduce((sum, artifact) => sum + sizeOf(artifact), 0);
  const artifacts: ArtifactVerdict[] = [];
  let before = 0;
  for (const artifact of stored) {
    const report = (bytes: number) => request.onProgress?.(before + bytes, total);
    artifacts.push(await verdictOn(artifact, request, report));
    before += sizeOf(artifact);
    request.onProgress?.(before, total);
  }
  return { set: set.path, level, ok: artifacts.length > 0 && artifacts.every(({ ok }) => ok), artifacts };
}

async function verdictOn(
  artifact: StoredArtifact,
  request: VerifyRequest,
  onBytes: (bytes: number) => void,
): Promise<ArtifactVerdict> {
  const { database, file } = artifact;
  const verdict = { database, file, bytes: artifact.stored.bytes };
  const assertions: AssertionAnswer[] = [];
  const asked = () => (assertions.length === 0 ? {} : { assertions });
  try {
    const found = await check(artifact, request, {
      onBytes,
      onAnswer: (assertion, held) => assertions.push({ text: assertionText(assertion), held }),
    });
    return { ...verdict, ok: true, ...(found === undefined ? {} : { found }), ...asked() };
  } catch (error) {
    throwIfAborted(request.signal);
    return { ...verdict, ok: false, ...asked(), error: toBackupError(error) };
  }
}

interface Listener extends Pick<TestRestoreRequest, 'onAnswer'> {
  onBytes(bytes: number): void;
}

/** @returns what a test restore has found */
async function check(
  artifact: StoredArtifact,
  request: VerifyRequest,
  { onBytes, onAnswer }: Listener,
): Promise<string | undefined> {
  const { set, level, keys, signal, place } = request;
  switch (level) {
    case 'manifest':
      await checkSize(artifact, set, signal);
      return undefined;
    case 'hash':
      await drain(readStored(set.driver, set.path, artifact, { signal }), onBytes);
      return undefined;
    case 'content':
      await drain(readRaw({ set, artifact, keys, signal }), onBytes);
      return undefined;
    case 'restore':
      if (!isServerWide(artifact)) {
        const at = place ?? NO_PLACE;
        return await testRestore({ set, artifact, keys, signal, onBytes, onAnswer, place: at });
      }
      await drain(readRaw({ set, artifact, keys, signal }), onBytes);
      return 'read, but not restored: it belongs to the whole server';
  }
}

const NO_PLACE: TestPlace = { folder: '', assertions: [] };

async function checkSize(artifact: StoredArtifact, set: BackupSet, signal: AbortSignal): Promise<void> {
  const path = joinPath(set.path, artifact.file);
  const info = await orAbort(set.driver.stat(path, signal), signal);
  if (info?.bytes === artifact.stored.bytes) return;
  const found = info === undefined ? 'it is missing' : `it has ${info.bytes} bytes`;
  throw new BackupError(
    info === undefined ? 'not-found' : 'incomplete',
    `${set.driver.describe()}/${path} should have ${artifact.stored.bytes} bytes: ${found}`,
  );
}
