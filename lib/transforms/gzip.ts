import zlib from 'node:zlib';
import { abortable } from '../bytes/abortable.ts';
import { mapOrdered, parallelBlocks } from '../bytes/parallel.ts';
import { rechunk } from '../bytes/rechunk.ts';
import { BLOCK_BYTES, type ByteStream } from '../bytes/stream.ts';
import { BackupError } from '../errors.ts';
import { encodeEnd, encodeMember, PLAIN_HEADER_BYTES, TRAILER_BYTES } from './gzip-format.ts';
import { MOST_RSYNCABLE_BYTES, rsyncableBlocks } from './rsyncable.ts';

/** Worst case of deflate: 5 bytes for every stored stretch of 16 KiB, and room for header and trailer. */
const OVERHEAD_BYTES = 5 * (MOST_RSYNCABLE_BYTES / (16 * 1024)) + 256;

/**
 * Compresses to independent gzip members of 1 MiB of input, in parallel on the thread pool, each telling
 * its length, and an empty member at the end. Any gunzip reads it as one file.
 * @param rsyncable the members end where the content says so: see `rsyncableBlocks`
 */
export async function* compressGzip(
  input: ByteStream,
  { level, rsyncable }: { readonly level: number; readonly rsyncable: boolean },
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const inFlight = parallelBlocks();
  const source = abortable(input, signal);
  const blocks = rsyncable ? rsyncableBlocks(source, inFlight) : rechunk(source, BLOCK_BYTES, inFlight);
  const work = async (block: Buffer) => {
    const done = { member: await compressBlock(block, level), contentBytes: block.length };
    blocks.release(block);
    return done;
  };
  const end = { members: 0, contentBytes: 0, trailersCrc: 0 };
  const members = mapOrdered(blocks, work, { inFlight, signal });
  for await (const { member, contentBytes } of members) {
    end.members += 1;
    end.contentBytes += contentBytes;
    end.trailersCrc = zlib.crc32(member.subarray(-TRAILER_BYTES), end.trailersCrc);
    yield member;
  }
  yield encodeEnd(end);
}

function compressBlock(block: Buffer, level: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    zlib.gzip(block, { level, chunkSize: block.length + OVERHEAD_BYTES }, (cause, gzipped) => {
      if (cause) reject(new BackupError('internal', `gzip could not compress: ${cause.message}`, { cause }));
      else resolve(encodeMember(gzipped.subarray(PLAIN_HEADER_BYTES)));
    });
  });
}
