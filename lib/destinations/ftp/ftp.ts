import type { DestinationDriver } from '../driver.ts';
import { roundTrip } from '../round-trip.ts';
import { parseStorageOptions } from '../storage-options.ts';
import { listObjects, listUnfinished, removeObject, statObject, sweepTemporaries } from './listing.ts';
import { type FtpOptionsInput, ftpLocation, ftpOptions } from './options.ts';
import { readObject } from './read.ts';
import { FtpStorage } from './storage.ts';
import { writeObject } from './write.ts';

/**
 * A folder on an FTP server, by FTP over TLS unless plain FTP was chosen. Objects are files; what is not
 * committed has a hidden name beside its later one. FTP cannot tell free space, and has no word for "make
 * this durable": a server that acknowledges may still lose it with its power.
 * @param timing how long an upload may stand still, for servers that end it earlier than after a minute
 * @throws BackupError `invalid-config`
 */
export function createFtpDestination(
  input: FtpOptionsInput,
  timing: { readonly longestPauseMs?: number } = {},
): DestinationDriver {
  const options = parseStorageOptions(ftpOptions, input, 'FTP');
  const storage = new FtpStorage(options, timing.longestPauseMs);
  const driver: DestinationDriver = {
    kind: 'ftp',
    describe: () => ftpLocation(options),
    // Most servers rename over what is there in one step, but none of them promises it.
    properties: { ranges: true, atomicReplace: false, concurrency: options.connections },
    probe: async (signal) => await roundTrip(driver, signal),
    write: async (path, bytes, writing) => await writeObject(storage, path, bytes, writing),
    read: async (path, reading) => await readObject(storage, path, reading),
    list: (prefix, signal) => listObjects(storage, prefix, signal),
    stat: async (path, signal) => await statObject(storage, path, signal),
    remove: async (path, signal) => await removeObject(storage, path, signal),
    sweep: async (olderThan, signal) => await sweepTemporaries(storage, olderThan, signal),
    unfinished: (prefix, signal) => listUnfinished(storage, prefix, signal),
  };
  return driver;
}
