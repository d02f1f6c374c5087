import zlib from 'node:zlib';
import { abortable } from '../bytes/abortable.ts';
import { mapOrdered, parallelBlocks } from '../bytes/parallel.ts';
import { rechunk } from '../bytes/rechunk.ts';
import { BLOCK_BYTES, type ByteStream } from '../bytes/stream.ts';
import { BackupError } from '../errors.ts';
import { MOST_RSYNCABLE_BYTES, rsyncableBlocks } from './rsyncable.ts';
import { CHECKSUM_BYTES } from './zstd-format.ts';
import { SeekTableWriter } from './zstd-seek-table.ts';

/** From this level on zstd finds matches that are further away than a block. */
const LARGE_BLOCK_LEVEL = 13;
const LARGE_BLOCK_BYTES = 4 * BLOCK_BYTES;

/**
 * Compresses to a file of independent zstd frames of 1 MiB of input (4 MiB from level 13 on), in parallel
 * on the thread pool, each with its content size and checksum, and a seek table at the end. Any zstd tool
 * reads it as one file. Empty input becomes one empty frame.
 * @param rsyncable the frames end where the content says so: see `rsyncableBlocks`
 */
export async function* compressZstd(
  input: ByteStream,
  { level, rsyncable }: { readonly level: number; readonly rsyncable: boolean },
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const large = level >= LARGE_BLOCK_LEVEL;
  const usualBytes = large ? LARGE_BLOCK_BYTES : BLOCK_BYTES;
  const blockBytes = rsyncable ? MOST_RSYNCABLE_BYTES : usualBytes;
  // Each block in flight has an engine, which takes up to 50 MB at the highest level.
  const inFlight = large ? parallelBlocks() - 1 : parallelBlocks();
  const source = abortable(input, signal);
  const blocks = rsyncable ? rsyncableBlocks(source, inFlight) : rechunk(source, blockBytes, inFlight);
  const compressors = new FrameCompressors(level, blockBytes);
  const table = new SeekTableWriter();
  const compressBlock = async (block: Buffer): Promise<Frame> => {
    const frame = { pieces: await compressors.compress(block), contentBytes: block.length };
    blocks.release(block);
    return frame;
  };
  try {
    const frames = mapOrdered(blocks, compressBlock, { inFlight, signal });
    for await (const frame of frames) {
      table.add(entryOf(frame));
      yield* frame.pieces;
    }
    if (table.frames === 0) {
      const empty = await compressBlock(Buffer.alloc(0));
      table.add(entryOf(empty));
      yield* empty.pieces;
    }
    yield* table.encode();
  } finally {
    compressors.close();
  }
}

interface Frame {
  /** The frame as the engine gave it: in one piece, or in two. */
  readonly pieces: readonly Buffer[];
  readonly contentBytes: number;
}

function entryOf(frame: Frame) {
  const compressedBytes = frame.pieces.reduce((bytes, piece) => bytes + piece.length, 0);
  const checksum = Buffer.concat(frame.pieces.map((piece) => piece.subarray(-CHECKSUM_BYTES)));
  return {
    compressedBytes,
    contentBytes: frame.contentBytes,
    checksum: checksum.readUInt32LE(checksum.length - CHECKSUM_BYTES),
  };
}

/**
 * Engines that are used again for one block after the other, since setting one up costs a tenth of
 * compressing a block. There are as many as blocks in flight.
 */
class FrameCompressors {
  readonly #level: number;
  readonly #blockBytes: number;
  readonly #all: FrameCompressor[] = [];
  readonly #free: FrameCompressor[] = [];

  constructor(level: number, blockBytes: number) {
    this.#level = level;
    this.#blockBytes = blockBytes;
  }

  async compress(block: Buffer): Promise<Buffer[]> {
    const compressor = this.#free.pop() ?? this.#add();
    const frame = await compressor.compress(block);
    this.#free.push(compressor);
    return frame;
  }

  close(): void {
    for (const compressor of this.#all) compressor.close();
  }

  #add(): FrameCompressor {
    const compressor = new FrameCompressor(this.#level, this.#blockBytes);
    this.#all.push(compressor);
    return compressor;
  }
}

/** Turns each block into one complete frame. */
class FrameCompressor {
  readonly #engine: zlib.ZstdCompress;
  #pieces: Buffer[] = [];
  #reject: ((error: Error) => void) | undefined;

  constructor(level: number, blockBytes: number) {
    const { constants } = zlib;
    this.#engine = zlib.createZstdCompress({
      // Ends a frame with every write; the frame then also tells the size of its content.
      flush: constants.ZSTD_e_end,
      // Room for the output of several typical blocks, and for the worst case of any.
      chunkSize: 2 * (blockBytes + (blockBytes >>> 8) + 512),
      params: { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_checksumFlag]: 1 },
    });
    this.#engine.on('data', (piece: Buffer) => this.#pieces.push(piece));
    this.#engine.on('error', (error) => this.#reject?.(error));
  }

  compress(block: Buffer): Promise<Buffer[]> {
    return new Promise((resolve, reject) => {
      const fail = (cause: Error) => {
        reject(new BackupError('internal', `zstd could not compress: ${cause.message}`, { cause }));
      };
      this.#reject = fail;
      this.#engine.write(block, (error) => {
        if (error) return fail(error);
        // Whatever is still buffered goes through the 'data' listener now.
        while (this.#engine.read() !== null);
        resolve(this.#pieces);
        this.#pieces = [];
      });
    });
  }

  close(): void {
    this.#engine.destroy();
  }
}
