import { type FileHandle, open, stat } from 'node:fs/promises';
import { pause, pauseBefore } from '../../backoff.ts';
import { BLOCK_BYTES, type ByteStream } from '../../bytes/stream.ts';
import { abortError, BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import { type ByteRange, checkedRange } from '../byte-range.ts';
import type { ObjectInfo, ReadOptions } from '../driver.ts';
import { splitObjectPath } from '../path.ts';
import { filterOptions, includePath, NOTHING_ELSE } from './filters.ts';
import { statObject } from './listing.ts';
import { Spool, sweepSpools } from './spool.ts';
import type { RsyncStorage } from './storage.ts';
import { ATTEMPTS, PAUSES } from './upload.ts';

/** Folder in the spool that receives the object. */
const RECEIVED = 'received';

/** See the port's `read`. */
export async function readObject(
  storage: RsyncStorage,
  path: string,
  reading: ReadOptions,
): Promise<ByteStream> {
  throwIfAborted(reading.signal);
  splitObjectPath(path);
  const found = await statObject(storage, path, reading.signal);
  if (found === undefined) {
    throw new BackupError('not-found', `There is no ${path} on ${storage.location}`);
  }
  const span = checkedRange(path, found.bytes, reading.range);
  return bytesOf(storage, found, span, reading);
}

/** The object is fetched whole when the first bytes are wanted; the copy has no name any more while it is read. */
async function* bytesOf(
  storage: RsyncStorage,
  object: ObjectInfo,
  { start, end }: ByteRange,
  reading: ReadOptions,
): AsyncGenerator<Buffer, void> {
  const { spoolDirectory } = storage.options;
  await sweepSpools(spoolDirectory).catch(() => undefined);
  const file = await Spool.with(spoolDirectory, async (spool) => {
    await spool.requireSpace(object.bytes);
    await fetch(storage, spool, object, reading);
    return await open(spool.at(RECEIVED, object.path), 'r');
  });
  try {
    yield* blocks(file, { start, end }, reading.signal);
  } finally {
    await file.close();
  }
}

async function* blocks(
  file: FileHandle,
  { start, end }: ByteRange,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  for (let at = start; at < end; ) {
    throwIfAborted(signal);
    const block = Buffer.allocUnsafeSlow(Math.min(BLOCK_BYTES, end - at));
    const { bytesRead } = await file.read(block, 0, block.length, at);
    if (signal.aborted) throw abortError(signal);
    if (bytesRead === 0) throw new BackupError('incomplete', 'The copy in the spool folder ended early');
    at += bytesRead;
    yield block.subarray(0, bytesRead);
  }
}

/** A transfer that breaks goes on with what has come, after a check that the object is still the same. */
async function fetch(
  storage: RsyncStorage,
  spool: Spool,
  object: ObjectInfo,
  { signal, onActivity }: ReadOptions,
): Promise<void> {
  const { clock } = storage;
  const folder = await spool.makeFolder(RECEIVED);
  const rules = filterOptions([...includePath(object.path.split('/')), NOTHING_ELSE]);
  const args = ['-rtO', '--inplace', '--no-whole-file', ...rules, storage.target(), folder];
  const call = { doing: `read ${object.path}`, args, onActivity };
  for (let attempt = 1; ; attempt += 1) {
    try {
      await storage.run(call, signal);
      await requireWhole(spool, object);
      return;
    } catch (error) {
      throwIfAborted(signal);
      if (!toBackupError(error).transient || attempt === ATTEMPTS) throw error;
      await pause(pauseBefore(attempt, PAUSES), signal, clock);
      await requireSame(storage, object, signal);
    }
  }
}

async function requireWhole(spool: Spool, object: ObjectInfo): Promise<void> {
  const received = await stat(spool.at(RECEIVED, object.path)).catch(() => undefined);
  if (received?.size !== object.bytes) throw changed(object);
}

async function requireSame(storage: RsyncStorage, object: ObjectInfo, signal: AbortSignal): Promise<void> {
  const now = await statObject(storage, object.path, signal);
  if (now?.bytes !== object.bytes || now.modified.getTime() !== object.modified.getTime()) {
    throw changed(object);
  }
}

function changed({ path }: ObjectInfo): BackupError {
  return new BackupError('incomplete', `${path} was changed on the server while it was read`);
}
