import { BackupError } from '../../errors.ts';
import type { KnownHosts } from '../../ssh/known-hosts.ts';
import type { DestinationDriver } from '../driver.ts';
import { roundTrip } from '../round-trip.ts';
import { parseStorageOptions } from '../storage-options.ts';
import { fileSystem, hasRoot } from './folders.ts';
import { listObjects, listUnfinished, removeObject, statObject, sweepTemporaries } from './listing.ts';
import { type SftpOptionsInput, sftpOptions } from './options.ts';
import { MOST_CHANNELS } from './pool.ts';
import { readObject } from './read.ts';
import { SftpStorage } from './storage.ts';
import { writeObject } from './write.ts';

/**
 * A folder on an SSH server, by SFTP. Objects are files (mode 0600, folders 0700); what is not committed has a
 * hidden name beside its later one.
 * @param knownHosts where `trustFirst` remembers keys; the nodes give `knownHostsFile` in the data directory
 * @throws BackupError `invalid-config`
 */
export function createSftpDestination(input: SftpOptionsInput, knownHosts?: KnownHosts): DestinationDriver {
  const options = parseStorageOptions(sftpOptions, input, 'SFTP');
  if (options.trustFirst && options.hostKeys.length === 0 && knownHosts === undefined) {
    throw new BackupError(
      'invalid-config',
      `The first host key of ${options.host} cannot be remembered here: set its host keys instead`,
    );
  }
  const storage = new SftpStorage(options, knownHosts);
  const driver: DestinationDriver = {
    kind: 'sftp',
    describe: () => storage.location,
    properties: {
      ranges: true,
      get atomicReplace() {
        return storage.replacesAtomically;
      },
      concurrency: MOST_CHANNELS,
    },
    probe: async (signal) => await roundTrip(driver, signal),
    write: async (path, bytes, writing) => await writeObject(storage, path, bytes, writing),
    read: async (path, reading) => await readObject(storage, path, reading),
    list: (prefix, signal) => listObjects(storage, prefix, signal),
    stat: async (path, signal) => await statObject(storage, path, signal),
    remove: async (path, signal) => await removeObject(storage, path, signal),
    freeSpace: async (signal) =>
      await storage.use('read the free space', signal, async (channel) => {
        await hasRoot(storage, channel);
        return (await fileSystem(channel))?.freeBytes;
      }),
    sweep: async (olderThan, signal) => await sweepTemporaries(storage, olderThan, signal),
    unfinished: (prefix, signal) => listUnfinished(storage, prefix, signal),
  };
  return driver;
}
