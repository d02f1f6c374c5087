import { createLocalDestination } from '../../../lib/destinations/local/local.ts';
import { readRaw } from '../../../lib/restore/raw-stream.ts';
import { tuneProcess } from '../../../runner/tune-process.ts';
import { KEY_RING } from './key.ts';
import { onlyArtifact } from './stored.ts';

/* restore.ts <storage folder> <output folder>: verifies, decrypts, decompresses and writes the only set there. */
tuneProcess();
const [, , storage = '', output = ''] = process.argv;
const { signal } = new AbortController();
const { set, artifact } = await onlyArtifact(storage, signal);
const target = createLocalDestination({ root: output, create: true });
const raw = readRaw({ set, artifact, keys: KEY_RING, signal });
const pending = await target.write('restored', raw, { signal, expectedBytes: artifact.raw.bytes });
await pending.commit();
