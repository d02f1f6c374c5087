import type { DestinationDriver, DestinationProbe } from '../driver.ts';
import { roundTrip } from '../round-trip.ts';
import { removeUpload } from './multipart.ts';
import { setLegalHold } from './object-lock.ts';
import { answered, placeOf } from './object-place.ts';
import { S3Store } from './store.ts';
import { sweepUploads } from './sweep.ts';

/** How long the test object is locked, in ms: long enough for a server whose clock differs a little. */
const LOCK_MS = 120_000;
/** A person waits for the answer. */
const ATTEMPTS = 2;
const TEST_PATH = 'dbackup-probe';
const THE_PAST = new Date(0);

/** The same storage for its test: its objects are locked for some minutes only, and failures tell sooner. */
export function storeForProbe({ options }: S3Store): S3Store {
  const attempts = Math.min(options.attempts, ATTEMPTS);
  return new S3Store({ ...options, attempts, legalHold: false }, LOCK_MS);
}

/**
 * See the port's `probe`: also whether the keys may do what uploads in parts, their clean-up and a legal hold need.
 * @param holds whether objects get a legal hold
 */
export async function probeStorage(
  store: S3Store,
  driver: DestinationDriver,
  holds: boolean,
  signal: AbortSignal,
): Promise<DestinationProbe> {
  const probe = await roundTrip(driver, signal);
  await tryUpload(store, signal);
  await sweepUploads(store, THE_PAST, signal);
  if (holds) await tryLegalHold(store, driver, signal);
  return probe;
}

async function tryUpload(store: S3Store, signal: AbortSignal): Promise<void> {
  const place = placeOf(store, TEST_PATH);
  const uploadId = await store.call(
    async ({ client, library, signal: abortSignal }) => {
      const command = new library.CreateMultipartUploadCommand(place.request);
      return answered(store, (await client.send(command, { abortSignal })).UploadId);
    },
    { signal, doing: `begin an upload to ${store.location}`, permission: 's3:PutObject' },
  );
  await removeUpload(store, place, uploadId, signal);
}

async function tryLegalHold(store: S3Store, driver: DestinationDriver, signal: AbortSignal): Promise<void> {
  async function* content(): AsyncGenerator<Buffer> {
    yield Buffer.from('test');
  }
  const pending = await driver.write(TEST_PATH, content(), { signal, replace: true });
  await pending.commit();
  try {
    await setLegalHold(store, TEST_PATH, true, signal);
    await setLegalHold(store, TEST_PATH, false, signal);
  } finally {
    await driver.remove(TEST_PATH, signal);
  }
}
