import zlib from 'node:zlib';
import { abortable } from '../bytes/abortable.ts';
import { ByteCursor } from '../bytes/cursor.ts';
import { rechunk } from '../bytes/rechunk.ts';
import { BLOCK_BYTES, type ByteStream } from '../bytes/stream.ts';
import { BackupError } from '../errors.ts';
import { damaged, decodeError } from './decode-error.ts';
import { ENGINE_CHUNK_BYTES, ZlibPass } from './zlib-pass.ts';

/** What is given to the decoder at once, in bytes. */
const INPUT_PIECE_BYTES = 256 * 1024;

/** Compresses to one brotli stream (RFC 7932), which has no form that could be made in parallel. */
export async function* compressBrotli(
  input: ByteStream,
  level: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const engine = zlib.createBrotliCompress({
    chunkSize: ENGINE_CHUNK_BYTES,
    params: { [zlib.constants.BROTLI_PARAM_QUALITY]: level },
  });
  const pass = new ZlibPass(
    engine,
    signal,
    (cause) => new BackupError('internal', `brotli could not compress: ${cause.message}`, { cause }),
  );
  const cursor = new ByteCursor(rechunk(abortable(input, signal), BLOCK_BYTES, 0));
  try {
    yield* pass.run(() => cursor.takeSome(BLOCK_BYTES));
  } finally {
    await cursor.close();
  }
}

/**
 * Decompresses a brotli stream. The format has no checksum: a changed byte may give other data without
 * an error, which only a hash of the content finds.
 * @throws BackupError `incomplete` when it is cut off, `corrupt` when it is damaged or has bytes behind it
 */
export async function* decompressBrotli(input: ByteStream, signal: AbortSignal): AsyncGenerator<Buffer> {
  const cursor = new ByteCursor(abortable(input, signal));
  const engine = zlib.createBrotliDecompress({ chunkSize: ENGINE_CHUNK_BYTES });
  const pass = new ZlibPass(engine, signal, (error) => decodeError('the brotli stream', error));
  try {
    yield* pass.run(() => cursor.takeSome(INPUT_PIECE_BYTES));
    cursor.unread(pass.unused);
    if (await cursor.has(1))
      throw damaged(`there are bytes behind the brotli stream, at byte ${cursor.position}`);
  } finally {
    await cursor.close();
  }
}
