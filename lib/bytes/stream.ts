/**
 * The one stream type of the engine: pull-based, so back-pressure is the default, and ended early by
 * `return()`, so an abort reaches the producer. Chunks are owned by the consumer once yielded;
 * a producer never writes into a chunk it has yielded, unless it was released.
 */
export interface ByteStream extends AsyncIterable<Buffer> {
  /**
   * Tells the producer that this chunk, as it was yielded, is not read any more and no view of it is in
   * use, so that its memory can serve again. Optional on both sides, at most once per chunk. A stage that
   * hands a chunk to several consumers, or keeps it, does not offer this.
   *
   * Why: V8 starts a full garbage collection for every 64 MiB of new buffers. In a process with a large
   * heap that costs more than compressing the data.
   */
  release?(chunk: Buffer): void;
}

/** Size of the blocks that the engine prefers end to end, in bytes: large enough that per-chunk costs vanish. */
export const BLOCK_BYTES = 1024 * 1024;
