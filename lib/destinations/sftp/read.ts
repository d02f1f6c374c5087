import type { Stats } from 'ssh2';
import { orAbort } from '../../abort.ts';
import { BlockPool } from '../../bytes/block-pool.ts';
import { withRelease } from '../../bytes/release.ts';
import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import { checkedRange } from '../byte-range.ts';
import type { ReadOptions } from '../driver.ts';
import { splitObjectPath } from '../path.ts';
import type { SftpChannel } from './channel.ts';
import { isMissing } from './failures.ts';
import { pathOf } from './folders.ts';
import { infoOf } from './listing.ts';
import { READ_BLOCK_BYTES, readAhead } from './read-ahead.ts';
import type { SftpStorage } from './storage.ts';

/** How often in a row a reading that broke is taken up again without having got anything. */
const ATTEMPTS = 3;
/** Released blocks that one reading keeps for its next ones. */
const KEPT_BLOCKS = 8;

/** See the port's `read`. */
export async function readObject(
  storage: SftpStorage,
  path: string,
  { signal, range }: ReadOptions,
): Promise<ByteStream> {
  throwIfAborted(signal);
  const names = splitObjectPath(path);
  const found = await storage.use(`read ${path}`, signal, (channel) => infoOf(storage, channel, names));
  if (found === undefined) throw notFound(storage, path);
  checkedRange(path, found.bytes, range);
  const blocks = new BlockPool(READ_BLOCK_BYTES, KEPT_BLOCKS);
  const reading = { storage, names, path, range, blocks, signal };
  return withRelease(bytesOf(reading), (block) => blocks.release(block));
}

interface Reading {
  readonly storage: SftpStorage;
  readonly names: readonly string[];
  readonly path: string;
  readonly range: ReadOptions['range'];
  readonly blocks: BlockPool;
  readonly signal: AbortSignal;
}

/** One pass over a part of an object; a connection that breaks is replaced, and the rest is asked for. */
async function* bytesOf(reading: Reading): AsyncGenerator<Buffer, void> {
  const { path, range, blocks, signal } = reading;
  let object: Stats | undefined;
  let position: number | undefined;
  for (let failures = 0; ; ) {
    try {
      const file = await openFile(reading);
      try {
        object ??= file.stats;
        if (object.size !== file.stats.size || object.mtime !== file.stats.mtime) throw changed(path);
        const { start, end } = checkedRange(path, object.size, range);
        position ??= start;
        const ahead = readAhead(file.channel, file.handle, { start: position, end }, blocks);
        for (;;) {
          const next = await orAbort(ahead.next(), signal);
          if (next.done === true) return;
          position += next.value.length;
          failures = 0;
          yield next.value;
        }
      } finally {
        file.close();
      }
    } catch (error) {
      throwIfAborted(signal);
      failures += 1;
      const failure = reading.storage.failure(error, `read ${path}`);
      if (!failure.transient || failures === ATTEMPTS) throw failure;
    }
  }
}

interface OpenFile {
  readonly channel: SftpChannel;
  readonly handle: Buffer;
  readonly stats: Stats;
  /** Safe to call twice. */
  close(): void;
}

/** The file is closed when the signal aborts: a consumer that pauses does not see that. */
async function openFile({ storage, names, path, signal }: Reading): Promise<OpenFile> {
  const { channel, giveBack } = await storage.lend(`read ${path}`, signal);
  const opening = channel.open(pathOf(channel, names), 'r');
  let open = true;
  const close = () => {
    if (!open) return;
    open = false;
    signal.removeEventListener('abort', close);
    opening.then((handle) => channel.closeFile(handle)).catch(() => undefined);
    giveBack();
  };
  signal.addEventListener('abort', close, { once: true });
  try {
    const handle = await orAbort(opening, signal);
    const stats = await orAbort(channel.fstat(handle), signal);
    return { channel, handle, stats, close };
  } catch (error) {
    close();
    if (isMissing(error)) throw notFound(storage, path);
    throw toBackupError(storage.failure(error, `read ${path}`));
  }
}

function notFound(storage: SftpStorage, path: string): BackupError {
  return new BackupError('not-found', `There is no ${path} on ${storage.location}`);
}

function changed(path: string): BackupError {
  return new BackupError('incomplete', `${path} was changed on the server while it was read`);
}
