import { contentBlocks } from '../bytes/content-borders.ts';
import type { ByteStream } from '../bytes/stream.ts';

/** Longest block of a file that rsync can compare, in bytes. */
export const MOST_RSYNCABLE_BYTES = 2 * 1024 * 1024;
/** Below it the headers and the worse compression of short blocks cost too much, in bytes. */
const LEAST_BYTES = 256 * 1024;
/** Blocks of half a MiB on average. */
const BITS = 18;

/**
 * Blocks that end where the content says so. A change in a dump then changes the compressed blocks that hold it, and
 * those behind it stay as they were, though they lie elsewhere: rsync finds them in the previous backup.
 */
export function rsyncableBlocks(input: ByteStream, kept: number): Required<ByteStream> {
  return contentBlocks(input, { leastBytes: LEAST_BYTES, mostBytes: MOST_RSYNCABLE_BYTES, bits: BITS }, kept);
}
