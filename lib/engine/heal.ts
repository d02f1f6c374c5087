import { BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import type { TransformBinding } from '../plan/bindings.ts';
import type { PathStep } from '../plan/recipe.ts';
import type { DestinationRun } from './destination-run.ts';
import { canRecode, recodeSet } from './recode.ts';
import { replicateSet } from './replicate.ts';

export interface HealContext {
  readonly transforms: ReadonlyMap<string, TransformBinding>;
  readonly signal: AbortSignal;
  readonly stallMs: number;
  onBytes(total: number): void;
}

/**
 * Gives a destination that dropped out its set after all, from a sibling that has committed: the same
 * bytes where the chains are equal, else converted from the sibling's. The database is not dumped again.
 * @returns the label of the sibling; undefined when there was none to copy from, or the copy failed too
 *   (the destination's error then tells both)
 */
export async function healDestination(
  failed: DestinationRun,
  all: readonly DestinationRun[],
  context: HealContext,
): Promise<string | undefined> {
  const committed = all.filter((sibling) => sibling.committed !== undefined);
  const twin = committed.find((sibling) => sameSteps(sibling.path, failed.path));
  const sibling = twin ?? committed.find((candidate) => canRecode(candidate.path, failed.path));
  if (sibling === undefined) return undefined;
  try {
    await (twin === undefined ? recode(sibling, failed, context) : replicate(sibling, failed, context));
    return sibling.binding.label;
  } catch (error) {
    throwIfAborted(context.signal);
    const second = toBackupError(error);
    failed.failAgain(second, sibling.binding.label);
    return undefined;
  }
}

async function replicate(
  sibling: DestinationRun,
  failed: DestinationRun,
  context: HealContext,
): Promise<void> {
  const { manifest } = committedSet(sibling);
  await replicateSet({
    from: { driver: sibling.binding.driver, path: sibling.folder, manifest },
    to: failed.binding,
    folder: failed.folder,
    present: new Set(failed.files),
    ...context,
  });
  failed.commit(manifest, true);
}

async function recode(sibling: DestinationRun, failed: DestinationRun, context: HealContext): Promise<void> {
  const { manifest } = committedSet(sibling);
  await failed.discard();
  const recoded = await recodeSet({
    from: { driver: sibling.binding.driver, path: sibling.folder, manifest },
    to: failed.binding,
    folder: failed.folder,
    path: failed.path,
    ...context,
  });
  failed.commit(recoded, true);
}

function committedSet(sibling: DestinationRun) {
  if (sibling.committed === undefined)
    throw new BackupError('internal', `${sibling.node} holds no set to copy from`);
  return sibling.committed;
}

function sameSteps(a: readonly PathStep[], b: readonly PathStep[]): boolean {
  return a.length === b.length && a.every((step, index) => step.node === b[index]?.node);
}
