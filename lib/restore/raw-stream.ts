import { readStored } from '../backupset/copy.ts';
import type { StoredArtifact } from '../backupset/manifest.ts';
import type { BackupSet } from '../backupset/reader.ts';
import { DigestTap } from '../bytes/digest.ts';
import { BackupError } from '../errors.ts';
import type { KeyRing } from '../keys/keys.ts';
import { undoSteps } from '../transforms/inverse.ts';

export interface RawRequest {
  readonly set: BackupSet;
  readonly artifact: StoredArtifact;
  readonly keys: KeyRing;
  readonly signal: AbortSignal;
  /** Raw bytes that have come so far. */
  onBytes?(total: number): void;
}

/**
 * The raw dump of an artifact: its recorded steps undone backwards, every chunk authenticated, the
 * stored bytes and the raw bytes both compared with the manifest. A consumer must not believe what it
 * has before the stream has ended without an error.
 * @throws BackupError `incomplete`, `corrupt`, `wrong-key`, `missing-key`, or of the storage
 */
export async function* readRaw(request: RawRequest): AsyncGenerator<Buffer, undefined> {
  const { set, artifact, keys, signal } = request;
  const stored = readStored(set.driver, set.path, artifact, signal);
  const tap = new DigestTap(undoSteps(artifact.steps, stored, { keys, signal }), request.onBytes);
  yield* tap;
  if (tap.bytes === artifact.raw.bytes && tap.sha256() === artifact.raw.sha256) return;
  throw new BackupError(
    tap.bytes < artifact.raw.bytes ? 'incomplete' : 'corrupt',
    `${artifact.file} of set ${set.path} gives ${tap.bytes} bytes with SHA-256 ${tap.sha256()}, the dump had ${artifact.raw.bytes} bytes with SHA-256 ${artifact.raw.sha256}`,
  );
}
