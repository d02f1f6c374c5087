import { sameExtent } from '../backupset/extent.ts';
import { isStored, type StoredArtifact } from '../backupset/manifest.ts';
import type { BackupSet } from '../backupset/reader.ts';
import { readStored } from '../backupset/stored-stream.ts';
import { completeSet } from '../backupset/writer.ts';
import type { SetFolder } from './set-folder.ts';

export interface ReplicateRequest {
  /** A committed set; its stored bytes are taken as they are. */
  readonly from: BackupSet;
  readonly to: SetFolder;
  /** What lies there already, committed and proven in this run. */
  readonly present?: readonly StoredArtifact[];
  onBytes?(total: number): void;
}

/**
 * Makes an identical set at another destination from a committed one: every hash is checked on the way,
 * the manifest comes last.
 * @throws BackupError of either side; what was written of the new set is removed then
 */
export async function replicateSet({ from, to, present = [], onBytes }: ReplicateRequest): Promise<void> {
  await to.takeOver();
  let before = 0;
  try {
    for (const artifact of from.manifest.artifacts.filter(isStored)) {
      if (!(await isPresent(artifact, present, to))) {
        await to.store(artifact.file, readStored(from.driver, from.path, artifact, to), {
          expectedBytes: artifact.stored.bytes,
          onBytes: (total) => onBytes?.(before + total),
        });
      }
      before += artifact.stored.bytes;
    }
    await completeSet(to, from.manifest);
  } catch (error) {
    await to.discard();
    throw error;
  }
}

/** Committed before, and there still: what made the destination drop out may have taken its files along. */
async function isPresent(
  artifact: StoredArtifact,
  present: readonly StoredArtifact[],
  to: SetFolder,
): Promise<boolean> {
  if (!present.some((other) => isSameFile(other, artifact))) return false;
  return to.holds(artifact.file, artifact.stored.bytes);
}

/** By content, not by name: a file that was encrypted anew has the same name and other bytes. */
function isSameFile(a: StoredArtifact, b: StoredArtifact): boolean {
  return a.file === b.file && sameExtent(a.stored, b.stored);
}
