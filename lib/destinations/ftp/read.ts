import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { type ByteRange, checkedRange } from '../byte-range.ts';
import type { ObjectInfo, ReadOptions } from '../driver.ts';
import { splitObjectPath } from '../path.ts';
import { resumedRead } from '../resumed-read.ts';
import type { FtpConnection } from './connection.ts';
import { pathOf } from './folders.ts';
import { statObject } from './listing.ts';
import { ftpLocation } from './options.ts';
import type { FtpStorage } from './storage.ts';
import { Transfer } from './transfer.ts';

/** See the port's `read`. */
export async function readObject(
  storage: FtpStorage,
  path: string,
  reading: ReadOptions,
): Promise<ByteStream> {
  throwIfAborted(reading.signal);
  const names = splitObjectPath(path);
  const found = await statObject(storage, path, reading.signal);
  if (found === undefined) {
    throw new BackupError('not-found', `There is no ${path} on ${ftpLocation(storage.options)}`);
  }
  const range = checkedRange(path, found.bytes, reading.range);
  return bytesOf(storage, names, found, range, reading.signal);
}

function bytesOf(
  storage: FtpStorage,
  names: readonly string[],
  object: ObjectInfo,
  { start, end }: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  async function* from(begin: number, isAgain: boolean): AsyncGenerator<Buffer, void> {
    if (isAgain) await requireSame(storage, object, signal);
    let at = begin;
    for await (const chunk of piece(storage, names, object, { start: begin, end }, signal)) {
      at += chunk.length;
      yield chunk;
    }
    if (at < end) throw shorter(object, at);
  }
  return resumedRead(start, { end: () => end, from }, signal);
}

async function* piece(
  storage: FtpStorage,
  names: readonly string[],
  object: ObjectInfo,
  span: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  const loan = await storage.lend(`read ${object.path}`, signal);
  // A consumer that pauses does not see the abort: the connection must not wait for it.
  const onAbort = () => loan.connection.close();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    yield* received(loan.connection, names, span, object.bytes, signal);
  } catch (error) {
    throw storage.failure(error, `read ${object.path}`);
  } finally {
    signal.removeEventListener('abort', onAbort);
    loan.giveBack();
  }
}

async function* received(
  connection: FtpConnection,
  names: readonly string[],
  span: ByteRange,
  size: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  let skip = await position(connection, span, size, signal);
  const transfer = await Transfer.start(connection, `RETR ${pathOf(connection, names)}`, signal);
  let left = span.end - span.start;
  let whole = false;
  try {
    for await (const chunk of transfer.received()) {
      const wanted = chunk.subarray(skip, skip + left);
      skip = Math.max(0, skip - chunk.length);
      left -= wanted.length;
      if (wanted.length > 0) yield wanted;
      if (left === 0 && span.end < size) break;
    }
    if (left === 0 && span.end === size) {
      await transfer.final();
      whole = true;
    }
  } catch (error) {
    throw await transfer.fail(error);
  } finally {
    if (!whole) await transfer.cancel();
  }
}

/**
 * Tells the server which bytes are wanted.
 * @returns how many bytes it will send before those, where it cannot begin in the middle
 */
async function position(
  connection: FtpConnection,
  { start, end }: ByteRange,
  size: number,
  signal: AbortSignal,
): Promise<number> {
  // A draft that few servers know (draft-bryan-ftp-range), by which they end the transfer in time themselves.
  if (end < size && connection.features.has('RANG')) {
    if ((await connection.tryCommand(`RANG ${start} ${end - 1}`, signal)) !== undefined) return 0;
  }
  if (start === 0) return 0;
  return (await connection.tryCommand(`REST ${start}`, signal)) === undefined ? start : 0;
}

async function requireSame(storage: FtpStorage, object: ObjectInfo, signal: AbortSignal): Promise<void> {
  const now = await statObject(storage, object.path, signal);
  if (now?.bytes === object.bytes && now.modified.getTime() === object.modified.getTime()) return;
  throw new BackupError('incomplete', `${object.path} was changed on the FTP server while it was read`);
}

function shorter(object: ObjectInfo, position: number): BackupError {
  return new BackupError(
    'incomplete',
    `The FTP server ended ${object.path} after ${position} of ${object.bytes} bytes`,
    { transient: true },
  );
}
