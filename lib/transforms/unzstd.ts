import zlib from 'node:zlib';
import { abortable } from '../bytes/abortable.ts';
import { ByteCursor } from '../bytes/cursor.ts';
import { mapOrdered, parallelBlocks } from '../bytes/parallel.ts';
import type { ByteStream } from '../bytes/stream.ts';
import { damaged, decodeError } from './decode-error.ts';
import { ENGINE_CHUNK_BYTES, ZlibPass } from './zlib-pass.ts';
import { type FrameOptions, type LongFrame, type WholeFrame, ZstdFrames } from './zstd-frames.ts';

/**
 * Decompresses a zstd file (RFC 8878): frames of up to 4 MiB in parallel, longer ones and those of unknown
 * size as they come, one after the other. The frames are found by their headers, since Node's decompressor
 * stops without an error where a frame ends.
 * @throws BackupError `incomplete` when the file is cut off, `corrupt` when it is damaged, `aborted`
 */
export async function* decompressZstd(
  input: ByteStream,
  signal: AbortSignal,
  options: FrameOptions,
): AsyncGenerator<Buffer> {
  const cursor = new ByteCursor(abortable(input, signal));
  const frames = new ZstdFrames(cursor, options);
  try {
    for (;;) {
      yield* mapOrdered(frames.wholeFrames(), decompressWhole, { inFlight: parallelBlocks(), signal });
      const long = frames.pendingLongFrame();
      if (long === undefined) return;
      yield* decompressLong(long, frames, signal);
    }
  } finally {
    await cursor.close();
  }
}

function decompressWhole(frame: WholeFrame): Promise<Buffer> {
  const { contentBytes, where } = frame;
  return new Promise((resolve, reject) => {
    // One byte more than will come: the engine then sees in one step that it is done.
    const options = {
      chunkSize: Math.max(contentBytes + 1, zlib.constants.Z_MIN_CHUNK),
      maxOutputLength: Math.max(contentBytes, 1),
    };
    zlib.zstdDecompress(frame.bytes, options, (error, content) => {
      if (error) reject(decodeError(where, error));
      else if (content.length === contentBytes) resolve(content);
      else reject(damaged(`${where} holds ${content.length} bytes, its header says ${contentBytes}`));
    });
  });
}

async function* decompressLong(
  frame: LongFrame,
  frames: ZstdFrames,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const engine = zlib.createZstdDecompress({ chunkSize: ENGINE_CHUNK_BYTES });
  const pass = new ZlibPass(engine, signal, (error) => decodeError(frame.where, error));
  const bytes = frames.frameBytes(frame);
  yield* pass.run(async () => nextOf(await bytes.next()));
  const rest = await bytes.next();
  if (rest.done !== true || pass.unused.length > 0)
    throw damaged(`${frame.where} ends inside its last block`);
}

function nextOf(result: IteratorResult<Buffer, void>): Buffer | undefined {
  return result.done === true ? undefined : result.value;
}
