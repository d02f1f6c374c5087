import { createCipheriv } from 'node:crypto';
import type { Recipient } from 'age-encryption';
import { orAbort } from '../../abort.ts';
import type { Block, BlockReader } from '../block-reader.ts';
import { newPreamble } from './header.ts';
import { CHUNK_BYTES, chunkNonce, TAG_BYTES } from './payload.ts';

/**
 * Encrypts everything the reader gives as an age v1 file (https://age-encryption.org/v1). The 64 KiB chunks
 * go through OpenSSL's ChaCha20-Poly1305 and are yielded as they come: joining them would cost more than
 * small pieces cost the stages behind.
 */
export async function* sealAge(
  reader: BlockReader,
  recipients: readonly (string | Recipient)[],
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const { bytes, streamKey } = await orAbort(newPreamble(recipients), signal);
  let block = await reader.read(CHUNK_BYTES);
  yield bytes;
  for (let index = 0; ; index += 1) {
    const final = block.bytes < CHUNK_BYTES || (await reader.atEnd());
    yield* sealChunk(streamKey, block, chunkNonce(index, final));
    reader.release();
    if (final) return;
    block = await reader.read(CHUNK_BYTES);
  }
}

function* sealChunk(key: Buffer, block: Block, nonce: Buffer): Generator<Buffer> {
  const cipher = createCipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG_BYTES });
  for (const piece of block.pieces) yield cipher.update(piece);
  cipher.final();
  yield cipher.getAuthTag();
}
