import { BackupError } from '../../errors.ts';
import type { DestinationDriver } from '../driver.ts';
import { roundTrip } from '../round-trip.ts';
import { parseStorageOptions } from '../storage-options.ts';
import {
  freeSpace,
  listObjects,
  listUnfinished,
  removeObject,
  statObject,
  sweepTemporaries,
} from './listing.ts';
import { problemOfRoot } from './names.ts';
import { type SmbOptionsInput, smbOptions } from './options.ts';
import { readObject } from './read.ts';
import { SmbStorage } from './storage.ts';
import { writeObject } from './write.ts';

/**
 * A folder in a Windows share (SMB 3), by Samba's smbclient: no package of Node.js speaks SMB 3 soundly. Objects
 * are files; what is not committed has a hidden name beside its later one.
 * @throws BackupError `invalid-config`
 */
export function createSmbDestination(input: SmbOptionsInput): DestinationDriver {
  const options = parseStorageOptions(smbOptions, input, 'SMB');
  const storage = new SmbStorage(options);
  const problem = problemOfRoot(storage.root);
  if (problem !== undefined) {
    throw new BackupError(
      'invalid-config',
      `The SMB storage is not valid: the folder cannot be in a share: ${problem}`,
    );
  }
  const driver: DestinationDriver = {
    kind: 'smb',
    describe: () => storage.location,
    // smbclient reads every file from its beginning.
    properties: { ranges: false, atomicReplace: true, concurrency: options.connections },
    probe: async (signal) => await roundTrip(driver, signal),
    write: async (path, bytes, writing) => await writeObject(storage, path, bytes, writing),
    read: async (path, reading) => await readObject(storage, path, reading),
    list: (prefix, signal) => listObjects(storage, prefix, signal),
    stat: async (path, signal) => await statObject(storage, path, signal),
    remove: async (path, signal) => await removeObject(storage, path, signal),
    freeSpace: async (signal) => await freeSpace(storage, signal),
    sweep: async (olderThan, signal) => await sweepTemporaries(storage, olderThan, signal),
    unfinished: (prefix, signal) => listUnfinished(storage, prefix, signal),
  };
  return driver;
}
