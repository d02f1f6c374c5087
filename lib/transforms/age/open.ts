import { createDecipheriv } from 'node:crypto';
import { orAbort } from '../../abort.ts';
import { BackupError } from '../../errors.ts';
import type { KeyRing } from '../../keys/keys.ts';
import { type Block, type BlockReader, splitEnd } from '../block-reader.ts';
import { readHeader, readStreamKey } from './header.ts';
import { CHUNK_BYTES, chunkNonce, TAG_BYTES } from './payload.ts';
import { unlockFileKey } from './unlock.ts';

/**
 * Decrypts an age v1 file. A byte is yielded only after its 64 KiB chunk was authenticated, and the stream
 * ends without an error only after the final chunk was.
 * @throws BackupError `wrong-key`, `missing-key`, `incomplete`, `corrupt`, `aborted`, `invalid-config` for a
 *   malformed identity or a file that asks for too much work
 */
export async function* openAge(
  reader: BlockReader,
  keys: KeyRing,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const fileKey = await orAbort(unlockFileKey(await readHeader(reader), keys), signal);
  const streamKey = await readStreamKey(reader, fileKey);
  for (let index = 0; ; index += 1) {
    const block = await reader.read(CHUNK_BYTES + TAG_BYTES);
    const final = block.bytes < CHUNK_BYTES + TAG_BYTES || (await reader.atEnd());
    yield* openChunk(streamKey, block, index, final);
    if (final) return;
  }
}

/** The plaintext of one chunk, in pieces; nothing at all when the chunk does not authenticate. */
function openChunk(key: Buffer, block: Block, index: number, final: boolean): Buffer[] {
  if (block.bytes < TAG_BYTES) {
    throw new BackupError('incomplete', `The age file is cut off: chunk ${index} is missing or too short`);
  }
  if (block.bytes === TAG_BYTES && index > 0) {
    throw new BackupError('corrupt', `The age file was changed: its last chunk, ${index}, is empty`);
  }
  const { body, end } = splitEnd(block, TAG_BYTES);
  const nonce = chunkNonce(index, final);
  const decipher = createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(end);
  const plain = body.map((piece) => decipher.update(piece));
  try {
    decipher.final();
  } catch {
    throw new BackupError('corrupt', whatIsWrong(index, final));
  }
  return plain;
}

function whatIsWrong(index: number, final: boolean): string {
  return final
    ? `The age file was cut off or changed: its last part, chunk ${index}, does not authenticate`
    : `The age file was changed: chunk ${index} does not authenticate`;
}
