import type { IncomingMessage } from 'node:http';
import type { ByteStream } from '../../bytes/stream.ts';
import { abortError, BackupError, throwIfAborted } from '../../errors.ts';
import { type ByteRange, checkedRange } from '../byte-range.ts';
import type { ReadOptions } from '../driver.ts';
import { splitObjectPath } from '../path.ts';
import { resumedRead } from '../resumed-read.ts';
import { entryAt } from './listing.ts';
import type { Entry } from './resources.ts';
import type { WebdavStorage } from './storage.ts';

interface Place {
  readonly storage: WebdavStorage;
  readonly path: string;
  readonly names: readonly string[];
}

/** See the port's `read`. */
export async function readObject(
  storage: WebdavStorage,
  path: string,
  reading: ReadOptions,
): Promise<ByteStream> {
  throwIfAborted(reading.signal);
  const place = { storage, path, names: splitObjectPath(path) };
  const found = await entryAt(storage, path, reading.signal);
  if (found === undefined) throw new BackupError('not-found', `There is no ${path} on ${storage.location}`);
  return bytesOf(place, found, checkedRange(path, found.bytes, reading.range), reading.signal);
}

function bytesOf(
  place: Place,
  object: Entry,
  { start, end }: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  async function* from(begin: number, isAgain: boolean): AsyncGenerator<Buffer, void> {
    try {
      if (isAgain) await requireSame(place, object, signal);
      let at = begin;
      for await (const chunk of piece(place, object, { start: begin, end }, signal)) {
        at += chunk.length;
        yield chunk;
      }
      if (at < end) throw endedEarly(place, object, at);
    } catch (error) {
      throw place.storage.failure(error, `read ${place.path}`);
    }
  }
  return resumedRead(start, { end: () => end, from }, signal);
}

async function* piece(
  { storage, path, names }: Place,
  object: Entry,
  { start, end }: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  const { client } = storage;
  const isWhole = start === 0 && end === object.bytes;
  const headers = isWhole ? {} : { Range: `bytes=${start}-${end - 1}` };
  const reply = await client.send({ method: 'GET', url: client.url(names), headers, signal }, 200, 206);
  // A consumer that pauses does not see the abort: the connection must not wait for it.
  const onAbort = () => reply.destroy(abortError(signal));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    let skip = beginOf(reply, path, object, { start, end });
    let left = end - start;
    for await (const chunk of client.chunksOf(reply)) {
      const wanted = chunk.subarray(skip, skip + left);
      skip = Math.max(0, skip - chunk.length);
      left -= wanted.length;
      if (wanted.length > 0) yield wanted;
      if (left === 0) return;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/**
 * Checks what the reply says that it is.
 * @returns how many bytes come before the wanted ones: a server may answer with the whole (RFC 9110, section 14.2)
 */
function beginOf(reply: IncomingMessage, path: string, object: Entry, { start, end }: ByteRange): number {
  const { 'content-encoding': encoding = 'identity', 'content-range': range = '', etag } = reply.headers;
  const problem = (why: string) =>
    new BackupError('corrupt', `The WebDAV server gives ${path} wrongly: ${why}`);
  if (encoding !== 'identity') throw problem(`it encodes it as ${encoding}, which it was not asked for`);
  if (etag !== undefined && object.etag !== undefined && !isSameTag(etag, object.etag)) throw changed(path);
  if (reply.statusCode === 200) return start;
  if (range !== `bytes ${start}-${end - 1}/${object.bytes}`) {
    throw problem(`asked for bytes ${start}-${end - 1} of ${object.bytes} it answers with "${range}"`);
  }
  return 0;
}

async function requireSame({ storage, path }: Place, object: Entry, signal: AbortSignal): Promise<void> {
  const now = await entryAt(storage, path, signal);
  const isSame =
    now?.bytes === object.bytes &&
    now.modified.getTime() === object.modified.getTime() &&
    isSameTag(now.etag, object.etag);
  if (!isSame) throw changed(path);
}

/** RFC 9110, section 8.8.3.2. The weak comparison: a tag is weak while its file is young, and strong afterwards. */
function isSameTag(a: string | undefined, b: string | undefined): boolean {
  return a?.replace(/^W\//, '') === b?.replace(/^W\//, '');
}

function changed(path: string): BackupError {
  return new BackupError('incomplete', `${path} was changed on the WebDAV server while it was read`);
}

function endedEarly({ path }: Place, object: Entry, position: number): BackupError {
  return new BackupError(
    'incomplete',
    `The WebDAV server ended ${path} after ${position} of ${object.bytes} bytes`,
    { transient: true },
  );
}
