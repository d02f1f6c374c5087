import { orAbort } from '../abort.ts';
import { readAll } from '../bytes/drain.ts';
import type { DestinationDriver } from '../destinations/driver.ts';
import { readSteadily } from '../destinations/steady-read.ts';
import { BackupError } from '../errors.ts';
import {
  isStored,
  MAX_MANIFEST_BYTES,
  type Manifest,
  parseManifest,
  type StoredArtifact,
} from './manifest.ts';
import { joinPath, MANIFEST_FILE } from './names.ts';

/** A committed set in a storage. */
export interface BackupSet {
  readonly driver: DestinationDriver;
  /** Folder of the set below the storage's root. */
  readonly path: string;
  readonly manifest: Manifest;
}

/**
 * Opens the set in that folder.
 * @throws BackupError `not-found` when the folder holds no manifest, `corrupt` when it is damaged
 */
export async function openBackupSet(
  driver: DestinationDriver,
  path: string,
  signal: AbortSignal,
): Promise<BackupSet> {
  const manifestPath = joinPath(path, MANIFEST_FILE);
  const where = `${driver.describe()}/${manifestPath}`;
  const info = await orAbort(driver.stat(manifestPath, signal), signal);
  if (info === undefined) {
    throw new BackupError('not-found', `${where} does not exist: there is no backup set in that folder`);
  }
  const bytes = await readAll(readSteadily(driver, manifestPath, { signal }), MAX_MANIFEST_BYTES, where);
  return { driver, path, manifest: parseManifest(bytes.toString('utf8'), where) };
}

/**
 * The stored artifact of that database; of the only one when no name is given.
 * @throws BackupError `not-found` that lists what there is
 */
export function findArtifact(set: BackupSet, database: string | undefined): StoredArtifact {
  const stored = set.manifest.artifacts.filter(isStored);
  const names = stored.map((artifact) => artifact.database).join(', ');
  if (database === undefined) {
    const [only, ...others] = stored;
    if (only !== undefined && others.length === 0) return only;
    throw new BackupError('invalid-config', `Set ${set.path} holds ${names}: say which database`);
  }
  const found = stored.filter((artifact) => artifact.database === database || artifact.file === database);
  const [first, second] = found;
  if (second !== undefined) {
    const files = found.map((artifact) => artifact.file).join(', ');
    throw new BackupError(
      'invalid-config',
      `Set ${set.path} holds ${database} more than once: name the file (${files})`,
    );
  }
  if (first !== undefined) return first;
  const failed = set.manifest.artifacts.find(
    (artifact) => artifact.database === database && !isStored(artifact),
  );
  if (failed !== undefined && !isStored(failed)) {
    throw new BackupError(
      'not-found',
      `The dump of ${database} failed in set ${set.path}: ${failed.error.message}`,
    );
  }
  throw new BackupError('not-found', `Set ${set.path} holds no database ${database}: there is ${names}`);
}
