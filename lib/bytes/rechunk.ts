import type { BlockPool } from './block-pool.ts';
import type { ByteStream } from './stream.ts';

/**
 * Cuts a stream into blocks of exactly `pool.blockBytes`; only the last may be shorter, none is empty.
 * Blocks that lie whole in a chunk are views of it; others are gathered in blocks of the pool, which the
 * consumer may release there.
 */
export async function* rechunk(input: ByteStream, pool: BlockPool): AsyncGenerator<Buffer> {
  const size = pool.blockBytes;
  let gathered: Buffer | undefined;
  let filled = 0;
  for await (const chunk of input) {
    let at = 0;
    while (at < chunk.length) {
      if (gathered === undefined && chunk.length - at >= size) {
        yield chunk.length === size ? chunk : chunk.subarray(at, at + size);
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
  }
  if (gathered !== undefined) yield gathered.subarray(0, filled);
}
