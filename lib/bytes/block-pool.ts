/**
 * Buffers of one size that are used again, so that a fast stream does not fault in fresh memory for
 * every block. Only for blocks that never leave their owner.
 */
export class BlockPool {
  readonly blockBytes: number;
  readonly #kept: number;
  readonly #own = new WeakSet<ArrayBufferLike>();
  readonly #free: Buffer[] = [];

  /** @param kept how many free blocks are kept; more are left to the garbage collector */
  constructor(blockBytes: number, kept: number) {
    this.blockBytes = blockBytes;
    this.#kept = kept;
  }

  /** A block with arbitrary content. */
  take(): Buffer {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    const block = Buffer.allocUnsafeSlow(this.blockBytes);
    this.#own.add(block.buffer);
    return block;
  }

  /** Gives a block (or a view of it) back. Buffers that are not of this pool are left alone. */
  release(block: Buffer): void {
    if (!this.#own.has(block.buffer) || this.#free.length >= this.#kept) return;
    this.#free.push(Buffer.from(block.buffer));
  }
}
