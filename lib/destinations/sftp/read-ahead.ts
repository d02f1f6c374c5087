import type { BlockPool } from '../../bytes/block-pool.ts';
import { BackupError } from '../../errors.ts';
import type { SftpChannel } from './channel.ts';

/**
 * Bytes of one READ or WRITE. With its header it fits into one packet of SSH (32 KiB), and every server takes
 * that much at a time.
 */
export const REQUEST_BYTES = 31 * 1024;
/** Bytes that are read into one piece of memory. */
export const READ_BLOCK_BYTES = 32 * REQUEST_BYTES;
/** Blocks that are asked for ahead: at 20 ms of round trip enough for more than 100 MB/s. */
const BLOCKS_AHEAD = 4;

/**
 * The bytes of an open file from `start` to `end`, in blocks, with many requests under way.
 * @param blocks of READ_BLOCK_BYTES
 * @throws BackupError `incomplete` when the file is shorter, else as the channel does
 */
export async function* readAhead(
  channel: SftpChannel,
  handle: Buffer,
  { start, end }: { readonly start: number; readonly end: number },
  blocks: BlockPool,
): AsyncGenerator<Buffer, void> {
  const ahead: Promise<Buffer>[] = [];
  let position = start;
  const ask = () => {
    while (ahead.length < BLOCKS_AHEAD && position < end) {
      const block = blocks.take().subarray(0, Math.min(READ_BLOCK_BYTES, end - position));
      const filled = fill(channel, handle, block, position);
      // It may never be awaited.
      filled.catch(() => undefined);
      ahead.push(filled);
      position += block.length;
    }
  };
  for (ask(); ahead.length > 0; ) {
    const block = (await ahead.shift()) as Buffer;
    ask();
    yield block;
  }
}

async function fill(channel: SftpChannel, handle: Buffer, block: Buffer, position: number): Promise<Buffer> {
  const parts: Promise<void>[] = [];
  for (let at = 0; at < block.length; at += REQUEST_BYTES) {
    parts.push(fillPart(channel, handle, block.subarray(at, at + REQUEST_BYTES), position + at));
  }
  await Promise.all(parts);
  return block;
}

/** A server may answer with less than it was asked for. */
async function fillPart(channel: SftpChannel, handle: Buffer, part: Buffer, position: number): Promise<void> {
  for (let filled = 0; filled < part.length; ) {
    const read = await channel.read(handle, part.subarray(filled), position + filled);
    if (read === 0) {
      throw new BackupError(
        'incomplete',
        `A file on ${channel.connection.name} became shorter while it was read`,
      );
    }
    filled += read;
  }
}
