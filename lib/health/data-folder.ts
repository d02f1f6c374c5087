import { statfs } from 'node:fs/promises';
import { BackupError } from '../errors.ts';

/** What the records of a few runs take, in bytes. */
const LEAST_BYTES = 1024 * 1024;

/**
 * The disk of the data directory has room for the records of the next runs: a store may have some left in its own
 * files when the disk has not.
 * @throws BackupError `no-space` when it has not
 */
export async function requireRoom(dataDir: string): Promise<void> {
  const { bavail, bsize } = await statfs(dataDir);
  if (bavail * bsize >= LEAST_BYTES) return;
  throw new BackupError(
    'no-space',
    'No space left for the history: free some on the disk of the data directory, or choose another one',
  );
}
