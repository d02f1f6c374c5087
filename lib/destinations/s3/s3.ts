import { z } from 'zod';
import { BackupError } from '../../errors.ts';
import type { DestinationDriver } from '../driver.ts';
import { roundTrip } from '../round-trip.ts';
import { listObjects, removeObject, statObject } from './objects.ts';
import { type S3OptionsInput, s3Options } from './options.ts';
import { readObject } from './read.ts';
import { S3Store } from './store.ts';
import { sweepUploads } from './sweep.ts';
import { writeObject } from './write.ts';

/** Files at once: each may hold as much memory as the settings say. */
const CONCURRENCY = 4;

/**
 * A folder of a bucket on Amazon S3 or a compatible server.
 * @throws BackupError `invalid-config`
 */
export function createS3Destination(input: S3OptionsInput): DestinationDriver {
  const parsed = s3Options.safeParse(input);
  if (!parsed.success) {
    const problem = z.prettifyError(parsed.error).replaceAll('\n', ' ');
    throw new BackupError('invalid-config', `The S3 storage is not valid: ${problem}`);
  }
  const store = new S3Store(parsed.data);
  const driver: DestinationDriver = {
    kind: 's3',
    describe: () => store.location,
    properties: { ranges: true, atomicReplace: true, concurrency: CONCURRENCY },
    probe: async (signal) => await roundTrip(driver, signal),
    write: async (path, bytes, writing) => await writeObject(store, path, bytes, writing),
    read: async (path, reading) => await readObject(store, path, reading),
    list: (prefix, signal) => listObjects(store, prefix, signal),
    stat: async (path, signal) => await statObject(store, path, signal),
    remove: async (path, signal) => await removeObject(store, path, signal),
    sweep: async (olderThan, signal) => await sweepUploads(store, olderThan, signal),
  };
  return driver;
}
