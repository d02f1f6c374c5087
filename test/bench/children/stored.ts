import type { StoredArtifact } from '../../../lib/backupset/manifest.ts';
import { type BackupSet, findArtifact, openBackupSet } from '../../../lib/backupset/reader.ts';
import { createLocalDestination } from '../../../lib/destinations/local/local.ts';

/** The only dump of the only set below a folder. */
export async function onlyArtifact(
  storage: string,
  signal: AbortSignal,
): Promise<{ set: BackupSet; artifact: StoredArtifact }> {
  const driver = createLocalDestination({ root: storage });
  const sets: string[] = [];
  for await (const { path } of driver.list('', signal)) {
    if (path.endsWith('/manifest.json')) sets.push(path.slice(0, -'/manifest.json'.length));
  }
  const set = await openBackupSet(driver, sets[0] ?? '', signal);
  return { set, artifact: findArtifact(set, undefined) };
}
