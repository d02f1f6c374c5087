import zlib from 'node:zlib';
import { abortable } from '../bytes/abortable.ts';
import { ByteCursor } from '../bytes/cursor.ts';
import { mapOrdered, parallelBlocks } from '../bytes/parallel.ts';
import { withRelease } from '../bytes/release.ts';
import type { ByteStream } from '../bytes/stream.ts';
import { damaged, decodeError } from './decode-error.ts';
import { WholeDecoder } from './whole-decoder.ts';
import { ENGINE_CHUNK_BYTES, ZlibPass } from './zlib-pass.ts';
import { type FrameOptions, type LongFrame, ZstdFrames } from './zstd-frames.ts';

/**
 * Decompresses a zstd file (RFC 8878): frames of up to 4 MiB in parallel, longer ones and those of unknown
 * size as they come, one after the other. The frames are found by their headers, since Node's decompressor
 * stops without an error where a frame ends.
 * @throws BackupError `incomplete` when the file is cut off, `corrupt` when it is damaged, `aborted`
 */
export function decompressZstd(input: ByteStream, signal: AbortSignal, options: FrameOptions): ByteStream {
  const decoder = new WholeDecoder(zlib.zstdDecompress);
  const content = decodeFrames(abortable(input, signal), decoder, signal, options);
  return withRelease(content, (chunk) => decoder.release(chunk));
}

async function* decodeFrames(
  input: ByteStream,
  decoder: WholeDecoder,
  signal: AbortSignal,
  options: FrameOptions,
): AsyncGenerator<Buffer> {
  const cursor = new ByteCursor(input);
  const frames = new ZstdFrames(cursor, options);
  try {
    for (;;) {
      yield* mapOrdered(frames.wholeFrames(), (frame) => decoder.decode(frame), {
        inFlight: parallelBlocks(),
        signal,
      });
      const long = frames.pendingLongFrame();
      if (long === undefined) return;
      yield* decodeLong(long, frames, signal);
    }
  } finally {
    await cursor.close();
  }
}

async function* decodeLong(
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
