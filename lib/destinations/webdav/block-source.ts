import { orAbort } from '../../abort.ts';

/** Smallest memory for a block that is not full, in bytes. */
const FIRST_BYTES = 64 * 1024;

interface ChunkIterator {
  next(): Promise<IteratorResult<Buffer>>;
  release?(chunk: Buffer): void;
}

/** Reads a stream as blocks in memory that can be sent again, and what is left of it as it comes. */
export class BlockSource {
  readonly #chunks: ChunkIterator;
  readonly #signal: AbortSignal;
  /** A block was filled: the next one will be, too. */
  #filled = false;
  /** What is left of a chunk that lay across the end of a block. */
  #left: Buffer | undefined;

  constructor(chunks: ChunkIterator, signal: AbortSignal) {
    this.#chunks = chunks;
    this.#signal = signal;
  }

  /** The next `bytes` bytes; fewer only at the end of the stream, none behind it. */
  async take(bytes: number): Promise<Buffer> {
    let block: Buffer = Buffer.allocUnsafeSlow(this.#filled ? bytes : Math.min(bytes, FIRST_BYTES));
    let filled = 0;
    while (filled < bytes) {
      const chunk = this.#left ?? (await this.#next());
      if (chunk === undefined) break;
      const wanted = Math.min(chunk.length, bytes - filled);
      if (filled + wanted > block.length)
        block = grown(block, filled, Math.min(bytes, 2 * (filled + wanted)));
      chunk.copy(block, filled, 0, wanted);
      filled += wanted;
      const isLeft = wanted < chunk.length;
      if (!isLeft && this.#left === undefined) this.#chunks.release?.(chunk);
      this.#left = isLeft ? chunk.subarray(wanted) : undefined;
    }
    this.#filled = filled === bytes;
    return block.subarray(0, filled);
  }

  /** The next bytes as they come; undefined at the end. */
  async some(): Promise<Buffer | undefined> {
    const left = this.#left;
    this.#left = undefined;
    return left ?? (await this.#next());
  }

  /** Gives the memory of a chunk that `some` gave back. */
  release(chunk: Buffer): void {
    this.#chunks.release?.(chunk);
  }

  async #next(): Promise<Buffer | undefined> {
    const next = await orAbort(this.#chunks.next(), this.#signal);
    return next.done === true ? undefined : next.value;
  }
}

function grown(block: Buffer, filled: number, bytes: number): Buffer {
  const larger = Buffer.allocUnsafeSlow(bytes);
  block.copy(larger, 0, 0, filled);
  return larger;
}
