import { createHash } from 'node:crypto';
import { BlockPool } from './block-pool.ts';
import type { ByteStream } from './stream.ts';

export interface BorderLimits {
  /** No block is shorter, except for the last one; at least the 32 bytes that a border depends on. */
  readonly leastBytes: number;
  /** No block is longer. */
  readonly mostBytes: number;
  /** Beyond the shortest, one of 2^bits positions is a border, by chance. */
  readonly bits: number;
}

/** Bytes before a border that decide on it: a shift by one bit for each leaves nothing of older ones. */
const WINDOW_BYTES = 32;

/** A random number for each byte. They are the same for ever: with others all borders would move, once. */
const GEAR = Int32Array.from({ length: 256 }, (_, byte) =>
  createHash('sha256').update(`border ${byte}`).digest().readInt32LE(0),
);

/**
 * Finds borders in a stream by its content alone (gear hash, as in FastCDC: Xia et al., USENIX ATC 2016): where two
 * streams have the same bytes for long enough, they have the same borders, whatever came before.
 */
export class ContentBorders {
  readonly #least: number;
  readonly #most: number;
  readonly #mask: number;
  #hash = 0;
  /** Of the block that is being gone through. */
  #bytes = 0;

  constructor({ leastBytes, mostBytes, bits }: BorderLimits) {
    this.#least = Math.max(leastBytes, WINDOW_BYTES);
    this.#most = mostBytes;
    // The high bits depend on the whole window, the low ones on a part of it.
    this.#mask = -1 << (32 - bits);
  }

  /**
   * Goes on through the stream.
   * @returns how many bytes of the chunk, from `at` on, belong to the block, and whether it ends with them
   */
  advance(chunk: Buffer, at: number): { readonly taken: number; readonly ended: boolean } {
    // What cannot be in the window of a border need not be looked at.
    const skipped = Math.max(0, this.#least - WINDOW_BYTES - this.#bytes);
    const least = at + this.#least - this.#bytes;
    const most = at + this.#most - this.#bytes;
    const limit = Math.min(chunk.length, most);
    const mask = this.#mask;
    let hash = this.#hash;
    for (let position = Math.min(limit, at + skipped); position < limit; position += 1) {
      hash = ((hash << 1) + (GEAR[chunk[position] as number] as number)) | 0;
      if ((hash & mask) === 0 && position + 1 >= least) return this.#end(position + 1 - at);
    }
    if (limit === most) return this.#end(limit - at);
    this.#hash = hash;
    this.#bytes += limit - at;
    return { taken: limit - at, ended: false };
  }

  #end(taken: number) {
    this.#hash = 0;
    this.#bytes = 0;
    return { taken, ended: true };
  }
}

/**
 * Cuts a stream into blocks at borders that depend on its content. None is empty. Released blocks are used again.
 * @param kept how many blocks the consumer may hold before it releases one
 */
export function contentBlocks(input: ByteStream, limits: BorderLimits, kept: number): Required<ByteStream> {
  const pool = new BlockPool(limits.mostBytes, kept);
  return {
    [Symbol.asyncIterator]: () => cutBlocks(input, limits, pool),
    release: (block) => pool.release(block),
  };
}

async function* cutBlocks(input: ByteStream, limits: BorderLimits, pool: BlockPool): AsyncGenerator<Buffer> {
  const borders = new ContentBorders(limits);
  let gathered: Buffer | undefined;
  let filled = 0;
  for await (const chunk of input) {
    let at = 0;
    while (at < chunk.length) {
      const { taken, ended } = borders.advance(chunk, at);
      gathered ??= pool.take();
      chunk.copy(gathered, filled, at, at + taken);
      filled += taken;
      at += taken;
      if (!ended) continue;
      yield gathered.subarray(0, filled);
      gathered = undefined;
      filled = 0;
    }
    input.release?.(chunk);
  }
  if (gathered !== undefined) yield gathered.subarray(0, filled);
}
