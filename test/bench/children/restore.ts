import { findArtifact, openBackupSet } from '../../../lib/backupset/reader.ts';
import { createLocalDestination } from '../../../lib/destinations/local/local.ts';
import { readRaw } from '../../../lib/restore/raw-stream.ts';
import { tuneProcess } from '../../../runner/tune-process.ts';
import { KEY_RING } from './key.ts';

/* restore.ts <storage folder> <output folder>: verifies, decrypts, decompresses and writes the only set there. */
tuneProcess();
const [, , storage = '', output = ''] = process.argv;
const { signal } = new AbortController();
const driver = createLocalDestination({ root: storage });
const sets: string[] = [];
for await (const { path } of driver.list('', signal)) {
  if (path.endsWith('/manifest.json')) sets.push(path.slice(0, -'/manifest.json'.length));
}
const set = await openBackupSet(driver, sets[0] ?? '', signal);
const artifact = findArtifact(set, undefined);
const target = createLocalDestination({ root: output, create: true });
const raw = readRaw({ set, artifact, keys: KEY_RING, signal });
const pending = await target.write('restored', raw, { signal, expectedBytes: artifact.raw.bytes });
await pending.commit();
