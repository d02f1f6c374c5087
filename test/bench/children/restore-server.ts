import { restoreArtifact } from '../../../lib/restore/restore.ts';
import { openRestoreTarget } from '../../../lib/restore/targets.ts';
import { tuneProcess } from '../../../runner/tune-process.ts';
import { KEY_RING } from './key.ts';
import { readServerFile, restoreServer } from './server.ts';
import { onlyArtifact } from './stored.ts';

/* restore-server.ts <storage folder> <server file> <database>: restores the only set there as a new database. */
tuneProcess();
const [, , storage = '', file = '', database = ''] = process.argv;
const { signal } = new AbortController();
const { set, artifact } = await onlyArtifact(storage, signal);
const server = restoreServer(readServerFile(file));
const target = openRestoreTarget(artifact, { to: database, server, overwrite: 'refuse', safetyCopy: false });
await restoreArtifact({ set, artifact, keys: KEY_RING, signal, target });
