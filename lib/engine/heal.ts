import { isStored } from '../backupset/manifest.ts';
import type { BackupSet } from '../backupset/reader.ts';
import { BackupError } from '../errors.ts';
import type { TransformBinding } from '../plan/bindings.ts';
import { sameWay } from '../plan/plan-tree.ts';
import type { DestinationRun } from './destination-run.ts';
import { canRecode, recodeSet } from './recode.ts';
import { replicateSet } from './replicate.ts';

export interface HealContext {
  readonly transforms: ReadonlyMap<string, TransformBinding>;
  readonly signal: AbortSignal;
  onBytes(total: number): void;
}

/**
 * The siblings whose sets would give a destination its own: those with equal steps where there are some, so that
 * all of these get the same bytes; else those whose files can be converted.
 */
export function donorsOf(
  failed: DestinationRun,
  siblings: readonly DestinationRun[],
): readonly DestinationRun[] {
  const others = siblings.filter((sibling) => sibling !== failed);
  const twins = others.filter((sibling) => sameWay(sibling.path, failed.path));
  return twins.length > 0 ? twins : others.filter((sibling) => canRecode(sibling.path, failed.path));
}

/**
 * Gives a destination that dropped out its set after all, from a sibling that has committed: the same
 * bytes where the chains are equal, else converted from the sibling's. The database is not dumped again.
 * @throws BackupError of either side. What was copied until then stays for the next attempt, or is the
 *   caller's to discard
 */
export async function healDestination(
  failed: DestinationRun,
  donor: DestinationRun,
  context: HealContext,
): Promise<void> {
  if (donor.committed === undefined)
    throw new BackupError('internal', 'A sibling without a set heals nothing');
  const { manifest } = donor.committed;
  const from: BackupSet = { driver: donor.binding.driver, path: donor.folder.path, manifest };
  const { folder: to, path } = failed;
  if (!sameWay(donor.path, path)) {
    await failed.resume([]);
    failed.commit(await recodeSet({ from, to, path, ...context }), true);
    return;
  }
  const present = await failed.resume(manifest.artifacts.filter(isStored));
  const { onBytes } = context;
  await replicateSet({ from, to, present, onBytes, onStored: (artifact) => failed.copied(artifact) });
  failed.commit(manifest, true);
}
