import type { Annotations } from '../backupset/annotation-format.ts';
import { isStored, type StoredArtifact } from '../backupset/manifest.ts';
import type { BackupSet } from '../backupset/reader.ts';
import { readStored } from '../backupset/stored-stream.ts';
import { completeSet } from '../backupset/writer.ts';
import type { SetFolder } from './set-folder.ts';

export interface ReplicateRequest {
  /** A committed set; its stored bytes are taken as they are. */
  readonly from: BackupSet;
  readonly to: SetFolder;
  /** What the copy begins with; what the run was told, if absent. */
  readonly annotations?: Annotations;
  /** Those of its artifacts that lie there already, committed and proven in this run. */
  readonly present?: readonly StoredArtifact[];
  onBytes?(total: number): void;
  /** The file is committed there. */
  onStored?(artifact: StoredArtifact): void;
}

/**
 * Makes an identical set at another destination from a committed one: every hash is checked on the way,
 * the manifest comes last.
 * @throws BackupError of either side; what was written until then stays, and is the caller's to discard
 */
export async function replicateSet(request: ReplicateRequest): Promise<void> {
  const { from, to, present = [], onBytes, onStored } = request;
  let before = 0;
  for (const artifact of from.manifest.artifacts.filter(isStored)) {
    if (!present.includes(artifact)) {
      await to.store(artifact.file, readStored(from.driver, from.path, artifact, to), {
        expectedBytes: artifact.stored.bytes,
        onBytes: (total) => onBytes?.(before + total),
      });
      onStored?.(artifact);
    }
    before += artifact.stored.bytes;
  }
  await completeSet(to, from.manifest, request.annotations);
}
