import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import type { ObjectInfo, ReadOptions } from '../driver.ts';
import { StorageTurn } from '../storage-turn.ts';
import { oncePassed } from './failures.ts';
import { quoted } from './folders.ts';
import { statObject } from './listing.ts';
import { shareNames } from './names.ts';
import type { SmbStorage } from './storage.ts';

/** How often in a row a reading that broke is taken up again without having got further. */
const ATTEMPTS = 3;

/** See the port's `read`. */
export async function readObject(
  storage: SmbStorage,
  path: string,
  reading: ReadOptions,
): Promise<ByteStream> {
  throwIfAborted(reading.signal);
  const found = await statObject(storage, path, reading.signal);
  if (found === undefined) throw new BackupError('not-found', `There is no ${path} on ${storage.location}`);
  return bytesOf(storage, found, checkedRange(path, found.bytes, reading.range), reading.signal);
}

interface Span {
  readonly start: number;
  readonly end: number;
}

function checkedRange(path: string, bytes: number, range: ReadOptions['range']): Span {
  const { start, end = bytes } = range ?? { start: 0 };
  const whole = Number.isSafeInteger(start) && Number.isSafeInteger(end);
  if (whole && start >= 0 && start <= bytes && end >= start) return { start, end: Math.min(end, bytes) };
  throw new BackupError(
    'invalid-config',
    `Bytes ${start} to ${end} of ${path} cannot be read: it has ${bytes}`,
  );
}

/**
 * One pass over a part of an object. smbclient begins at the first byte, whatever is wanted: what comes before is
 * passed over, also when a connection that broke is replaced.
 */
async function* bytesOf(
  storage: SmbStorage,
  found: ObjectInfo,
  { start, end }: Span,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  const isWhole = start === 0 && end === found.bytes;
  let object = found;
  let position = start;
  let failures = 0;
  while (position < (isWhole ? object.bytes : end)) {
    try {
      if (failures > 0) object = await lookAgain(storage, object, isWhole && position === 0, signal);
      const span = { start: position, end: isWhole ? object.bytes : end };
      for await (const chunk of piece(storage, object, span, signal)) {
        position += chunk.length;
        failures = 0;
        yield chunk;
      }
    } catch (error) {
      throwIfAborted(signal);
      failures += 1;
      if (!toBackupError(error).transient || failures === ATTEMPTS) throw error;
    }
  }
}

async function* piece(
  storage: SmbStorage,
  object: ObjectInfo,
  { start, end }: Span,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  const doing = `read ${object.path}`;
  const loan = await storage.lend(doing, signal);
  const { session } = loan;
  const turn = new StorageTurn({
    complaint: `${storage.location} gave nothing of ${object.path}`,
    stallMs: storage.options.timeout * 1000,
    signal,
  });
  // A consumer that pauses does not see the abort: the connection must not wait for it.
  const onAbort = () => session.close();
  signal.addEventListener('abort', onAbort, { once: true });
  const path = quoted(session, shareNames(object.path));
  const download = () => session.download(path, object.bytes, turn, turn.signal);
  let chunks: AsyncGenerator<Buffer, void> | undefined;
  try {
    // A file that is just replaced is open for a moment in a way that keeps others out.
    let next = await oncePassed(turn.signal, () => {
      chunks = download();
      return chunks.next();
    });
    let at = 0;
    for (; next.done !== true; next = await (chunks as AsyncGenerator<Buffer, void>).next()) {
      const chunk = next.value;
      const wanted = chunk.subarray(Math.max(0, start - at), Math.max(0, end - at));
      at += chunk.length;
      if (wanted.length > 0) yield wanted;
      if (at >= end && end < object.bytes) return;
    }
  } catch (error) {
    throw storage.failure(error, doing);
  } finally {
    await chunks?.return();
    turn.close();
    signal.removeEventListener('abort', onAbort);
    loan.giveBack();
  }
}

/** Nothing of an object may be added to what was given of another one. */
async function lookAgain(
  storage: SmbStorage,
  object: ObjectInfo,
  mayDiffer: boolean,
  signal: AbortSignal,
): Promise<ObjectInfo> {
  const now = await statObject(storage, object.path, signal);
  if (now !== undefined && mayDiffer) return now;
  if (now?.bytes === object.bytes && now.modified.getTime() === object.modified.getTime()) return now;
  throw new BackupError('incomplete', `${object.path} was changed in the share while it was read`);
}
