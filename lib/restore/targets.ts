import type { StoredArtifact } from '../backupset/manifest.ts';
import { BackupError } from '../errors.ts';
import type { RestoreTarget } from '../sources/driver.ts';
import { createSqliteRestoreTarget } from '../sources/sqlite/sqlite-restore.ts';

export interface TargetOptions {
  /** Where the database goes: a file's path, for engines whose databases are files. */
  readonly to: string;
  readonly overwrite: 'refuse' | 'replace';
  /** Keep what is replaced beside the new content. */
  readonly safetyCopy: boolean;
}

/**
 * The target that takes an artifact back: the engine that it was dumped from decides which.
 * @throws BackupError `invalid-config` for an engine that this version cannot restore
 */
export function openRestoreTarget(
  artifact: Pick<StoredArtifact, 'source' | 'database'>,
  { to, overwrite, safetyCopy }: TargetOptions,
): RestoreTarget {
  if (artifact.source === 'sqlite') return createSqliteRestoreTarget({ path: to, overwrite, safetyCopy });
  throw new BackupError(
    'invalid-config',
    `${artifact.database} is a ${artifact.source} dump, which this version cannot restore: update @dbackup/node-red`,
  );
}
