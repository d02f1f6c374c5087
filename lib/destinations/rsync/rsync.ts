import type { Clock } from '../../clock.ts';
import type { DestinationDriver } from '../driver.ts';
import { roundTrip } from '../round-trip.ts';
import { parseStorageOptions } from '../storage-options.ts';
import { listObjects, listUnfinished, removeObject, statObject, sweepLeftovers } from './listing.ts';
import { type RsyncOptionsInput, rsyncOptions } from './options.ts';
import { readObject } from './read.ts';
import { RsyncStorage } from './storage.ts';
import { writeObject } from './write.ts';

/**
 * A folder behind an rsync daemon, or on a host with rsync that is reached by SSH; nothing but rsync is asked of it.
 * Objects are files (mode 0600, folders 0700); what is not committed lies in hidden folders of the storage's own.
 * @param clock for the pauses between attempts
 * @throws BackupError `invalid-config`
 */
export function createRsyncDestination(input: RsyncOptionsInput, clock?: Clock): DestinationDriver {
  const options = parseStorageOptions(rsyncOptions, input, 'rsync');
  const storage = new RsyncStorage(options, clock);
  const driver: DestinationDriver = {
    kind: 'rsync',
    describe: () => storage.location,
    // A part of a file cannot be asked for.
    properties: { ranges: false, atomicReplace: true, concurrency: options.connections },
    probe: async (signal) => await roundTrip(driver, signal),
    write: async (path, bytes, writing) => await writeObject(storage, path, bytes, writing),
    read: async (path, reading) => await readObject(storage, path, reading),
    list: (prefix, signal) => listObjects(storage, prefix, signal),
    stat: async (path, signal) => await statObject(storage, path, signal),
    remove: async (path, signal) => await removeObject(storage, path, signal),
    sweep: async (olderThan, signal) => await sweepLeftovers(storage, olderThan, signal),
    unfinished: (prefix, signal) => listUnfinished(storage, prefix, signal),
  };
  return driver;
}
