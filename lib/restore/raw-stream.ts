import { exactly } from '../backupset/extent.ts';
import type { StoredArtifact } from '../backupset/manifest.ts';
import type { BackupSet } from '../backupset/reader.ts';
import { readStored } from '../backupset/stored-stream.ts';
import { passReleases } from '../bytes/release.ts';
import type { ByteStream } from '../bytes/stream.ts';
import { errorAbout } from '../errors.ts';
import type { KeyRing } from '../keys/keys.ts';
import { undoSteps } from '../transforms/inverse.ts';

export interface RawRequest {
  readonly set: BackupSet;
  readonly artifact: StoredArtifact;
  readonly keys: KeyRing;
  readonly signal: AbortSignal;
  /** How long the storage may give nothing before the reading has failed, in ms. */
  readonly stallMs?: number;
  /** Raw bytes that have come so far. */
  onBytes?(total: number): void;
}

/**
 * The raw dump of an artifact: its recorded steps undone backwards, every chunk authenticated, the
 * stored bytes and the raw bytes both compared with the manifest. A consumer must not believe what it
 * has before the stream has ended without an error.
 * @throws BackupError `incomplete`, `corrupt`, `wrong-key`, `missing-key`, `stalled`, or of the storage
 */
export function readRaw(request: RawRequest): ByteStream {
  const { set, artifact } = request;
  return exactly(decode(request), {
    expected: artifact.raw,
    complaint: `${artifact.file} of set ${set.path} does not give back the dump: it had`,
    onBytes: (total) => request.onBytes?.(total),
  });
}

/** Undoes the steps. What they complain about is this file, which they do not know. */
function decode(request: RawRequest): ByteStream {
  const { set, artifact, keys, signal } = request;
  let ofStorage: unknown;
  async function* stored(): AsyncGenerator<Buffer, undefined> {
    try {
      yield* readStored(set.driver, set.path, artifact, request);
    } catch (error) {
      ofStorage = error;
      throw error;
    }
  }
  const undone = undoSteps(artifact.steps, stored(), { keys, signal });
  async function* named(): AsyncGenerator<Buffer, undefined> {
    try {
      yield* undone;
    } catch (error) {
      if (error === ofStorage || signal.aborted) throw error;
      throw errorAbout(`${artifact.file} of set ${set.path}`, error);
    }
  }
  return passReleases(undone, named());
}
