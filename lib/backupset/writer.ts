import type { ByteStream } from '../bytes/stream.ts';
import { BackupError } from '../errors.ts';
import { saysNothing } from './annotation-changes.ts';
import { annotationsText } from './annotation-format.ts';
import { begunWith } from './annotations.ts';
import { isStored, type Manifest, manifestText } from './manifest.ts';
import { ANNOTATIONS_FILE, MANIFEST_FILE } from './names.ts';
import { restoreGuide } from './restore-guide.ts';
import { sumsFiles } from './sums.ts';

/** The folder of a set that is being written. */
export interface SetFiles {
  /** Stores one file and commits it. */
  store(file: string, bytes: ByteStream, options: { readonly expectedBytes: number }): Promise<void>;
  /** Asks the storage whether it has that file, with that size, where a reader will look for it. */
  holds(file: string, bytes: number): Promise<boolean>;
}

/**
 * Completes a set whose artifacts are committed: checksum files, then the guide, then annotations if there are any,
 * then the manifest, each committed before the next. Only the last one makes the set exist (invariant 2).
 * @param annotations those that the set begins with; what its run was told, if absent
 * @throws BackupError `internal` before anything is written, when the manifest could not be read back;
 *   `incomplete` when a file is not there any more
 */
export async function completeSet(
  folder: SetFiles,
  manifest: Manifest,
  annotations = begunWith(manifest),
): Promise<void> {
  const manifestBytes = Buffer.from(manifestText(manifest));
  for (const { name, text } of [...sumsFiles(manifest), restoreGuide(manifest)]) {
    await storeText(folder, name, Buffer.from(text));
  }
  // Without the file those count that the run was told.
  if (!saysNothing(annotations) || !saysNothing(begunWith(manifest))) {
    await storeText(folder, ANNOTATIONS_FILE, Buffer.from(annotationsText(annotations)));
  }
  await requireArtifacts(folder, manifest);
  await storeText(folder, MANIFEST_FILE, manifestBytes);
}

/**
 * What was acknowledged can be gone by now: its disk was unmounted and the folder below took what came
 * later, or somebody tidied up. A manifest must not name it then.
 */
async function requireArtifacts(folder: SetFiles, manifest: Manifest): Promise<void> {
  for (const { file, stored } of manifest.artifacts.filter(isStored)) {
    if (await folder.holds(file, stored.bytes)) continue;
    throw new BackupError(
      'incomplete',
      `${file} was stored, but is not there any more: was the disk unmounted, or the folder changed by others?`,
    );
  }
}

async function storeText(folder: SetFiles, name: string, bytes: Buffer): Promise<void> {
  await folder.store(name, once(bytes), { expectedBytes: bytes.length });
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, undefined> {
  yield bytes;
}
