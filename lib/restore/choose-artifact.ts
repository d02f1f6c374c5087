import { isStored, type Manifest, type StoredArtifact } from '../backupset/manifest.ts';
import { type BackupSet, findArtifact } from '../backupset/reader.ts';

/** Formats of dumps that belong to a whole server and to none of its databases: roles, users. */
const SERVER_WIDE: ReadonlySet<string> = new Set(['pg-globals', 'mysql-users']);

/** True for the roles or users of a server. */
export function isServerWide(artifact: Manifest['artifacts'][number]): boolean {
  return isStored(artifact) && SERVER_WIDE.has(artifact.format);
}

/**
 * The stored artifact of that database. Without a name the only database that there is: the roles or users
 * beside it must be named when they are meant.
 * @throws BackupError `not-found`, `invalid-config` that lists what there is
 */
export function chooseArtifact(set: BackupSet, database: string | undefined): StoredArtifact {
  if (database !== undefined) return findArtifact(set, database);
  const databases = set.manifest.artifacts.filter((artifact) => !isServerWide(artifact));
  const [only, ...others] = databases.filter(isStored);
  if (only !== undefined && others.length === 0) return only;
  return findArtifact(set, only === undefined ? databases[0]?.database : undefined);
}
