import type { BackupSet } from '../backupset/reader.ts';
import { throwIfAborted, toBackupError } from '../errors.ts';
import type { TransformBinding } from '../plan/bindings.ts';
import type { PathStep } from '../plan/recipe.ts';
import type { DestinationRun } from './destination-run.ts';
import { canRecode, recodeSet } from './recode.ts';
import { replicateSet } from './replicate.ts';

export interface HealContext {
  readonly transforms: ReadonlyMap<string, TransformBinding>;
  readonly signal: AbortSignal;
  onBytes(total: number): void;
}

/**
 * Gives a destination that dropped out its set after all, from a sibling that has committed: the same
 * bytes where the chains are equal, else converted from the sibling's. The database is not dumped again.
 * @returns the label of the sibling; undefined when there was none to copy from, or the copy failed too
 *   (the destination's error then tells both)
 * @throws BackupError only when the run is aborted
 */
export async function healDestination(
  failed: DestinationRun,
  all: readonly DestinationRun[],
  context: HealContext,
): Promise<string | undefined> {
  // A manifest that may still appear by itself must not find other files than it names.
  if (failed.folder.mayHaveManifest) return undefined;
  const committed = all.filter((sibling) => sibling.committed !== undefined);
  const twin = committed.find((sibling) => sameWay(sibling.path, failed.path));
  const sibling = twin ?? committed.find((candidate) => canRecode(candidate.path, failed.path));
  if (sibling?.committed === undefined) return undefined;
  const { manifest } = sibling.committed;
  const from: BackupSet = { driver: sibling.binding.driver, path: sibling.folder.path, manifest };
  try {
    const { folder, path, stored } = failed;
    if (twin !== undefined) {
      await replicateSet({ from, to: folder, present: stored, onBytes: context.onBytes });
      failed.commit(manifest, true);
    } else {
      failed.commit(await recodeSet({ from, to: folder, path, ...context }), true);
    }
    return sibling.binding.label;
  } catch (error) {
    throwIfAborted(context.signal);
    failed.failAgain(toBackupError(error), sibling.binding.label);
    return undefined;
  }
}

/** The same nodes in the same order: then the files are the same, byte by byte. */
function sameWay(a: readonly PathStep[], b: readonly PathStep[]): boolean {
  return a.length === b.length && a.every((step, index) => step.node === b[index]?.node);
}
