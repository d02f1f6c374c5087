import { copyArtifacts } from '../backupset/copy.ts';
import type { BackupSet } from '../backupset/reader.ts';
import { completeSet, discardUncompletedSet } from '../backupset/writer.ts';
import type { DestinationBinding } from '../plan/bindings.ts';
import { commit, transfer } from './transfer.ts';

export interface ReplicateRequest {
  /** A committed set; its stored bytes are taken as they are. */
  readonly from: BackupSet;
  readonly to: DestinationBinding;
  /** Folder of the new set below the root of `to`. */
  readonly folder: string;
  /** Files that lie there already, committed and proven in this run. */
  readonly present?: ReadonlySet<string>;
  readonly signal: AbortSignal;
  readonly stallMs: number;
  onBytes?(total: number): void;
}

/**
 * Makes an identical set at another destination from a committed one: every hash is checked on the way,
 * the manifest comes last.
 * @throws BackupError of either side; what was written of the new set is removed then
 */
export async function replicateSet(request: ReplicateRequest): Promise<void> {
  const { to, folder, signal, stallMs } = request;
  const written: string[] = [...(request.present ?? [])];
  let before = 0;
  try {
    await copyArtifacts(
      request.from,
      {
        store: async (file, input, expectedBytes) => {
          if (request.present?.has(file)) return;
          const onBytes = (total: number) => request.onBytes?.(before + total);
          const path = `${folder}/${file}`;
          const pending = await transfer({
            binding: to,
            path,
            input,
            expectedBytes,
            signal,
            stallMs,
            onBytes,
          });
          await commit(pending, to.label, stallMs);
          written.push(file);
          before += expectedBytes;
        },
      },
      signal,
    );
    await completeSet(to.driver, folder, request.from.manifest, signal);
  } catch (error) {
    await discardUncompletedSet(to.driver, folder, written);
    throw error;
  }
}
