import { pathToFileURL } from 'node:url';
import { throwIfAborted } from '../../errors.ts';
import type { DestinationDriver } from '../driver.ts';
import { roundTrip } from '../round-trip.ts';
import { parseStorageOptions } from '../storage-options.ts';
import { listObjects, listUnfinished, removeObject, statObject, sweepTemporaries } from './listing.ts';
import { type LocalOptionsInput, localOptions } from './options.ts';
import { readObject } from './read.ts';
import { freeBytes } from './root.ts';
import { writeObject } from './write.ts';

/** Objects that a disk takes at once without losing to seeking. */
const CONCURRENCY = 8;

/**
 * A folder on a disk of this host, or on a network file system that is mounted there. Objects are files
 * (mode 0600, folders 0700); what is not committed has a hidden name beside its later one.
 * @throws BackupError `invalid-config`
 */
export function createLocalDestination(input: LocalOptionsInput): DestinationDriver {
  const options = parseStorageOptions(localOptions, input, 'local');
  const driver: DestinationDriver = {
    kind: 'local',
    describe: () => pathToFileURL(options.root).href,
    properties: { ranges: true, atomicReplace: true, concurrency: CONCURRENCY },
    probe: async (signal) => await roundTrip(driver, signal),
    write: async (path, bytes, writing) => await writeObject(options, path, bytes, writing),
    read: async (path, reading) => await readObject(options, path, reading),
    list: (prefix, signal) => listObjects(options, prefix, signal),
    stat: async (path, signal) => await statObject(options, path, signal),
    remove: async (path, signal) => await removeObject(options, path, signal),
    freeSpace: async (signal) => {
      throwIfAborted(signal);
      return await freeBytes(options);
    },
    sweep: async (olderThan, signal) => await sweepTemporaries(options, olderThan, signal),
    unfinished: (prefix, signal) => listUnfinished(options, prefix, signal),
  };
  return driver;
}
