import { DigestTap } from '../bytes/digest.ts';
import type { ByteStream } from '../bytes/stream.ts';
import type { DestinationDriver } from '../destinations/driver.ts';
import { BackupError } from '../errors.ts';
import { isStored, type StoredArtifact } from './manifest.ts';
import { joinPath } from './names.ts';
import type { BackupSet } from './reader.ts';

/**
 * The stored bytes of an artifact, checked while they pass: ends with an error instead of its last
 * chunk's successor when they are not the bytes that the manifest names.
 * @throws BackupError `corrupt` at the end of the stream
 */
export async function* readStored(
  driver: DestinationDriver,
  folder: string,
  artifact: StoredArtifact,
  signal: AbortSignal,
): AsyncGenerator<Buffer, undefined> {
  const path = joinPath(folder, artifact.file);
  const tap = new DigestTap(await driver.read(path, { signal }));
  yield* tap;
  if (tap.bytes === artifact.stored.bytes && tap.sha256() === artifact.stored.sha256) return;
  const found = tap.bytes === artifact.stored.bytes ? 'other content' : `${tap.bytes} bytes`;
  throw new BackupError(
    tap.bytes < artifact.stored.bytes ? 'incomplete' : 'corrupt',
    `${driver.describe()}/${path} is damaged: the manifest names ${artifact.stored.bytes} bytes with SHA-256 ${artifact.stored.sha256}, the storage holds ${found}`,
  );
}

export interface CopyTarget {
  /** Stores one file and commits it; the stream fails when the source's bytes are damaged. */
  store(file: string, bytes: ByteStream, expectedBytes: number): Promise<void>;
}

/** Copies every artifact of a committed set, checking its hash on the way. The manifest is not written. */
export async function copyArtifacts(from: BackupSet, to: CopyTarget, signal: AbortSignal): Promise<void> {
  for (const artifact of from.manifest.artifacts.filter(isStored)) {
    await to.store(
      artifact.file,
      readStored(from.driver, from.path, artifact, signal),
      artifact.stored.bytes,
    );
  }
}
