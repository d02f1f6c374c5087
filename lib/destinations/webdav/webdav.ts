import { throwIfAborted } from '../../errors.ts';
import type { DestinationDriver } from '../driver.ts';
import { roundTrip } from '../round-trip.ts';
import { listObjects, listUnfinished, removeObject, statObject, sweepTemporaries } from './listing.ts';
import { parseWebdavOptions, type WebdavOptionsInput } from './options.ts';
import { readObject } from './read.ts';
import { quotaAvailable } from './resources.ts';
import { WebdavStorage } from './storage.ts';
import { writeObject } from './write.ts';

/**
 * A folder on a WebDAV server, such as Apache, Nextcloud or ownCloud. Objects are files; what is not committed
 * has a hidden name beside its later one. It speaks HTTP by Node's own client, since uploads of unknown size
 * need back-pressure, the server's early refusals, and an abort that really ends them.
 * @param timing how long an upload may stand still, for servers that end it earlier than after a minute
 * @throws BackupError `invalid-config`
 */
export function createWebdavDestination(
  input: WebdavOptionsInput,
  timing: { readonly longestPauseMs?: number } = {},
): DestinationDriver {
  const options = parseWebdavOptions(input);
  const storage = new WebdavStorage(options, timing.longestPauseMs);
  const driver: DestinationDriver = {
    kind: 'webdav',
    describe: () => storage.location,
    // MOVE removes what it overwrites before it renames, with most servers.
    properties: { ranges: true, atomicReplace: false, concurrency: options.connections },
    probe: async (signal) => await roundTrip(driver, signal),
    write: async (path, bytes, writing) => await writeObject(storage, path, bytes, writing),
    read: async (path, reading) => await readObject(storage, path, reading),
    list: (prefix, signal) => listObjects(storage, prefix, signal),
    stat: async (path, signal) => await statObject(storage, path, signal),
    remove: async (path, signal) => await removeObject(storage, path, signal),
    freeSpace: async (signal) => {
      throwIfAborted(signal);
      return await storage.try('ask for free space', signal, () => quotaAvailable(storage.client, signal));
    },
    sweep: async (olderThan, signal) => await sweepTemporaries(storage, olderThan, signal),
    unfinished: (prefix, signal) => listUnfinished(storage, prefix, signal),
  };
  return driver;
}
