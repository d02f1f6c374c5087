import { createDecipheriv } from 'node:crypto';
import { BackupError } from '../../errors.ts';
import type { KeyRing } from '../../keys/keys.ts';
import { TAG_BYTES } from '../../keys/wrapping.ts';
import { type Block, type BlockReader, splitEnd } from '../block-reader.ts';
import { FIXED_BYTES, headerLength, type ParsedHeader, parseHeader } from './header.ts';
import { chunkNonce, payloadKey } from './payload.ts';
import { unlockDataKey } from './unlock.ts';

/**
 * Decrypts a `.dbk` file. A byte is yielded only after its whole chunk was authenticated, and the stream
 * ends without an error only after the final chunk was.
 * @throws BackupError `wrong-key`, `missing-key`, `incomplete`, `corrupt`, `aborted`, or `invalid-config`
 *   for a file of a newer version
 */
export async function* openDbk(
  reader: BlockReader,
  keys: KeyRing,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const header = await readHeader(reader);
  const dataKey = await unlockDataKey(header, keys, signal);
  const opener = { header, key: payloadKey(dataKey, header.salt) };
  const storedBytes = 2 ** header.chunkBits + TAG_BYTES;
  for (let index = 0; ; index += 1) {
    const block = await reader.read(storedBytes);
    const final = block.bytes < storedBytes;
    yield* openChunk(opener, block, index, final);
    if (final) return;
  }
}

interface Opener {
  readonly key: Buffer;
  readonly header: ParsedHeader;
}

async function readHeader(reader: BlockReader): Promise<ParsedHeader> {
  const fixed = await reader.readBuffer(FIXED_BYTES);
  const rest = await reader.readBuffer(headerLength(fixed) - fixed.length);
  return parseHeader(Buffer.concat([fixed, rest]));
}

/** The plaintext of one chunk, in pieces; nothing at all when the chunk does not authenticate. */
function openChunk({ key, header }: Opener, block: Block, index: number, final: boolean): Buffer[] {
  if (block.bytes < TAG_BYTES) {
    throw new BackupError('incomplete', `The .dbk file is cut off: chunk ${index} is missing or too short`);
  }
  const { body, end } = splitEnd(block, TAG_BYTES);
  const nonce = chunkNonce(header.noncePrefix, index, final);
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(header.digest);
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
    ? `The .dbk file was cut off or changed: its last part, chunk ${index}, does not authenticate`
    : `The .dbk file was changed: chunk ${index} does not authenticate`;
}
