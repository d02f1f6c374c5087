/**
 * Buffers of one size that are used again, so that a fast stream neither faults in fresh memory for every
 * block nor keeps the garbage collector busy.
 */
export class BlockPool {
  readonly blockBytes: number;
  readonly #kept: number;
  readonly #lent = new WeakSet<ArrayBufferLike>();
  readonly #free: Buffer[] = [];

  /** @param kept how many free blocks are kept; more are left to the garbage collector */
  constructor(blockBytes: number, kept: number) {
    this.blockBytes = blockBytes;
    this.#kept = kept;
  }

  /** A block with arbitrary content. */
  take(): Buffer {
    const block = this.#free.pop() ?? Buffer.allocUnsafeSlow(this.blockBytes);
    this.#lent.add(block.buffer);
    return block;
  }

  /** Gives a block, or the one view of it that was passed on, back. Other buffers are left alone. */
  release(block: Buffer): void {
    if (!this.#lent.delete(block.buffer) || this.#free.length >= this.#kept) return;
    this.#free.push(Buffer.from(block.buffer));
  }
}
