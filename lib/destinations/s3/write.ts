import { randomUUID } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { orAbort, settled } from '../../abort.ts';
import type { ByteStream } from '../../bytes/stream.ts';
import { abortError, throwIfAborted } from '../../errors.ts';
import { alreadyExists } from '../already-exists.ts';
import type { PendingObject, WriteOptions } from '../driver.ts';
import { MultipartUpload } from './multipart.ts';
import { objectFields } from './object-fields.ts';
import { type ObjectPlace, placeOf } from './object-place.ts';
import { findObject } from './objects.ts';
import type { Part } from './part.ts';
import { PartSizes } from './part-sizes.ts';
import { type HeldObject, S3PendingObject } from './pending.ts';
import { putObject } from './put.ts';
import type { S3Store } from './store.ts';

/** How long a failed write waits for the removal of its upload before it reports, in ms; that goes on behind it. */
const CLEAN_UP_MS = 1500;

/**
 * See the port's `write`. An object of one part waits in memory for its commit; a larger one is uploaded in parts
 * meanwhile, and its commit puts them together.
 */
export async function writeObject(
  store: S3Store,
  path: string,
  bytes: ByteStream,
  { signal, expectedBytes, replace = false }: WriteOptions,
): Promise<PendingObject> {
  throwIfAborted(signal);
  const place = placeOf(store, path);
  if (!replace && (await findObject(store, path, signal)) !== undefined) throw alreadyExists(place.name);
  const writer = randomUUID();
  const sizes = new PartSizes(store.options, store.target.preset, expectedBytes);
  // What is uploaded in parts is larger than one of them.
  const upload = new MultipartUpload(store, place, sizes, () =>
    objectFields(store, sizes.bytesOf(1), writer),
  );
  try {
    const transferred = await transfer(bytes, upload, signal);
    const held = upload.hasBegun
      ? heldByServer(place, writer, upload, transferred)
      : heldInMemory(store, place, writer, transferred.last);
    return new S3PendingObject(store, held, replace);
  } catch (error) {
    const cleaned = upload.abort(NEVER);
    cleaned.catch(() => undefined);
    await settled(cleaned, CLEAN_UP_MS);
    throw error;
  }
}

interface Transferred {
  readonly bytes: number;
  /** Of all bytes. */
  readonly crc32: number;
  /** The part that was filled last. */
  readonly last: Part;
}

/** Drains the stream into parts, and waits until those that were sent have arrived. */
async function transfer(
  bytes: ByteStream,
  upload: MultipartUpload,
  signal: AbortSignal,
): Promise<Transferred> {
  const stop = AbortSignal.any([signal, upload.failed]);
  const iterator = bytes[Symbol.asyncIterator]();
  const whole = { bytes: 0, crc32: 0 };
  try {
    let part = await upload.take();
    for (;;) {
      const next = await orAbort(iterator.next(), stop);
      if (next.done === true) break;
      for (let rest = next.value; rest.length > 0; ) {
        if (part.isFull) {
          await orAbort(upload.send(part), stop);
          part = await orAbort(upload.take(), stop);
        }
        rest = rest.subarray(part.add(rest));
      }
      whole.bytes += next.value.length;
      whole.crc32 = crc32(next.value, whole.crc32);
      bytes.release?.(next.value);
    }
    if (upload.hasBegun) {
      await orAbort(upload.send(part), stop);
      await orAbort(upload.finish(), stop);
    }
    return { ...whole, last: part };
  } catch (error) {
    // Not awaited: a producer that hangs must not keep the error back.
    iterator.return?.().then(undefined, () => undefined);
    throw signal.aborted ? abortError(signal) : error;
  }
}

function heldByServer(
  place: ObjectPlace,
  writer: string,
  upload: MultipartUpload,
  { bytes, crc32: whole }: Transferred,
): HeldObject {
  return {
    place,
    writer,
    bytes,
    publish: async (onlyNew, signal) => await upload.complete(onlyNew, whole, signal),
    discard: async (signal) => await upload.abort(signal),
  };
}

function heldInMemory(store: S3Store, place: ObjectPlace, writer: string, part: Part): HeldObject {
  return {
    place,
    writer,
    bytes: part.bytes,
    publish: async (onlyNew, signal) =>
      await putObject(store, place, part, {
        fields: objectFields(store, part.bytes, writer),
        onlyNew,
        signal,
      }),
    discard: async () => undefined,
  };
}

const NEVER = new AbortController().signal;
