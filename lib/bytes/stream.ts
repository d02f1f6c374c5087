/**
 * The one stream type of the engine: pull-based, so back-pressure is the default, and ended early by
 * `return()`, so an abort reaches the producer. Chunks are owned by the consumer once yielded;
 * a producer never writes into a chunk it has yielded.
 */
export type ByteStream = AsyncIterable<Buffer>;

/** Size of the blocks that the engine prefers end to end, in bytes: large enough that per-chunk costs vanish. */
export const BLOCK_BYTES = 1024 * 1024;
