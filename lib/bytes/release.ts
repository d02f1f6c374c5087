import type { ByteStream } from './stream.ts';

/** A stream of these chunks whose consumer may give them back: see `ByteStream.release`. */
export function withRelease(chunks: AsyncIterable<Buffer>, release: (chunk: Buffer) => void): ByteStream {
  return { [Symbol.asyncIterator]: () => chunks[Symbol.asyncIterator](), release };
}

/**
 * For stages that yield the very chunks of their input and keep none of them: releases go through to
 * the input.
 */
export function passReleases(input: ByteStream, chunks: AsyncIterable<Buffer>): ByteStream {
  return withRelease(chunks, (chunk) => input.release?.(chunk));
}

/**
 * Frees the memory of a chunk now instead of at the next garbage collection. Only for a buffer that has
 * its memory alone, and that nobody will read again: it is empty afterwards.
 */
export function freeMemory(chunk: Buffer): void {
  if (chunk.buffer instanceof ArrayBuffer) chunk.buffer.transfer(0);
}
