import type { DestinationDriver } from '../driver.ts';
import { parseStorageOptions } from '../storage-options.ts';
import { findLock, setLegalHold } from './object-lock.ts';
import { listObjects, removeObject, statObject } from './objects.ts';
import { type S3OptionsInput, s3Options } from './options.ts';
import { probeStorage, storeForProbe } from './probe.ts';
import { readObject } from './read.ts';
import { S3Store } from './store.ts';
import { listUploads, sweepUploads } from './sweep.ts';
import { writeObject } from './write.ts';

/** Files at once: each may hold as much memory as the settings say. */
const CONCURRENCY = 4;

export interface S3Destination extends DestinationDriver {
  /**
   * Sets or lifts the legal hold of an object, in a bucket with object lock: while it is set, nobody can delete
   * the object for good.
   */
  setLegalHold(path: string, held: boolean, signal: AbortSignal): Promise<void>;
}

/**
 * A folder of a bucket on Amazon S3 or a compatible server. Nothing of an object is visible before its commit.
 * @throws BackupError `invalid-config`
 */
export function createS3Destination(input: S3OptionsInput): S3Destination {
  return destinationOn(new S3Store(parseStorageOptions(s3Options, input, 'S3')));
}

function destinationOn(store: S3Store): S3Destination {
  return {
    kind: 's3',
    describe: () => store.location,
    properties: { ranges: true, atomicReplace: true, concurrency: CONCURRENCY },
    probe: async (signal) => {
      const tested = storeForProbe(store);
      return await probeStorage(tested, destinationOn(tested), store.options.legalHold, signal);
    },
    write: async (path, bytes, writing) => await writeObject(store, path, bytes, writing),
    read: async (path, reading) => await readObject(store, path, reading),
    list: (prefix, signal) => listObjects(store, prefix, signal),
    stat: async (path, signal) => await statObject(store, path, signal),
    remove: async (path, signal) => await removeObject(store, path, signal),
    lockOf: async (path, signal) => await findLock(store, path, signal),
    sweep: async (olderThan, signal, isOurs) => await sweepUploads(store, olderThan, signal, isOurs),
    unfinished: (prefix, signal) => listUploads(store, prefix, signal),
    setLegalHold: async (path, held, signal) => await setLegalHold(store, path, held, signal),
  };
}
