import { BlockPool } from './block-pool.ts';
import type { ByteStream } from './stream.ts';

/**
 * Cuts a stream into blocks of exactly `size` bytes; only the last may be shorter, none is empty. Whatever
 * lies whole in a chunk is not copied. Released blocks are used again, here or by the input.
 * @param kept how many blocks the consumer may hold before it releases one
 */
export function rechunk(input: ByteStream, size: number, kept: number): Required<ByteStream> {
  const pool = new BlockPool(size, kept);
  const unchanged = new WeakSet<Buffer>();
  return {
    [Symbol.asyncIterator]: () => cutBlocks(input, pool, unchanged),
    release(block) {
      if (unchanged.delete(block)) input.release?.(block);
      else pool.release(block);
    },
  };
}

async function* cutBlocks(
  input: ByteStream,
  pool: BlockPool,
  unchanged: WeakSet<Buffer>,
): AsyncGenerator<Buffer> {
  const size = pool.blockBytes;
  let gathered: Buffer | undefined;
  let filled = 0;
  for await (const chunk of input) {
    if (gathered === undefined && chunk.length === size) {
      unchanged.add(chunk);
      yield chunk;
      continue;
    }
    let at = 0;
    let viewed = false;
    while (at < chunk.length) {
      if (gathered === undefined && chunk.length - at >= size) {
        viewed = true;
        yield chunk.subarray(at, at + size);
        at += size;
        continue;
      }
      gathered ??= pool.take();
      const copied = chunk.copy(gathered, filled, at, at + size - filled);
      filled += copied;
      at += copied;
      if (filled === size) {
        yield gathered;
        gathered = undefined;
        filled = 0;
      }
    }
    if (!viewed) input.release?.(chunk);
  }
  if (gathered !== undefined) yield gathered.subarray(0, filled);
}
