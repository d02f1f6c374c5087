import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import { type ByteRange, checkedRange } from '../byte-range.ts';
import type { ObjectInfo, ReadOptions } from '../driver.ts';
import { resumedRead } from '../resumed-read.ts';
import { StorageTurn } from '../storage-turn.ts';
import { oncePassed } from './failures.ts';
import { quoted } from './folders.ts';
import { statObject } from './listing.ts';
import { shareNames } from './names.ts';
import type { SmbStorage } from './storage.ts';

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

/** smbclient begins at the first byte, whatever is wanted: what comes before is passed over, also when it is resumed. */
function bytesOf(
  storage: SmbStorage,
  found: ObjectInfo,
  { start, end }: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  const isWhole = start === 0 && end === found.bytes;
  let object = found;
  const wantedEnd = () => (isWhole ? object.bytes : end);
  async function* from(position: number, isAgain: boolean): AsyncGenerator<Buffer, void> {
    if (isAgain) object = await lookAgain(storage, object, isWhole && position === 0, signal);
    yield* piece(storage, object, { start: position, end: wantedEnd() }, signal);
  }
  return resumedRead(start, { end: wantedEnd, from }, signal);
}

async function* piece(
  storage: SmbStorage,
  object: ObjectInfo,
  { start, end }: ByteRange,
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
