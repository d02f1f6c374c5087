import { BackupError } from '../errors.ts';
import type { RestoreReport, RestoreTarget } from '../sources/driver.ts';
import { type RawRequest, readRaw } from './raw-stream.ts';

export interface RestoreRequest extends RawRequest {
  readonly target: RestoreTarget;
}

/**
 * Puts one database of a set back. The target refuses before a byte is read when it cannot take it, and
 * stays as it was when anything on the way fails.
 * @throws BackupError `invalid-config` when the target is of another engine, else of storage, keys, target
 */
export async function restoreArtifact(request: RestoreRequest): Promise<RestoreReport> {
  const { artifact, target, signal } = request;
  if (target.kind !== artifact.source) {
    throw new BackupError(
      'invalid-config',
      `${artifact.database} is a ${artifact.source} dump, it cannot be restored into ${target.describe()} (${target.kind})`,
    );
  }
  await target.check(artifact.raw.bytes, signal);
  return target.restore(readRaw(request), signal);
}
