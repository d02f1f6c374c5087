import { createCipheriv, randomBytes } from 'node:crypto';
import { BLOCK_BYTES } from '../../bytes/stream.ts';
import { KEY_BYTES, NONCE_BYTES, TAG_BYTES } from '../../keys/wrapping.ts';
import type { Block, BlockReader } from '../block-reader.ts';
import { DIGEST_BYTES, encodeHeader, NONCE_PREFIX_BYTES, SALT_BYTES } from './header.ts';
import { chunkNonce, payloadKey } from './payload.ts';
import { type SlotOwner, sealSlot } from './slots.ts';

/** Everything that is random in a `.dbk` file. Each set of values is used for one file only. */
export interface DbkMaterial {
  readonly chunkBits: number;
  readonly salt: Buffer;
  readonly noncePrefix: Buffer;
  readonly wrapNonce: Buffer;
  readonly dataKey: Buffer;
}

/** Who shall open the file, with the 32-byte key that opens their slot. */
export interface DbkOwner {
  readonly slot: SlotOwner;
  readonly wrappingKey: Buffer;
}

/** Fresh material for one file, with chunks as large as the engine's blocks. */
export function freshMaterial(): DbkMaterial {
  return {
    chunkBits: Math.log2(BLOCK_BYTES),
    salt: randomBytes(SALT_BYTES),
    noncePrefix: randomBytes(NONCE_PREFIX_BYTES),
    wrapNonce: randomBytes(NONCE_BYTES),
    dataKey: randomBytes(KEY_BYTES),
  };
}

/**
 * Encrypts everything the reader gives as a `.dbk` file (docs/format.md). Every chunk but the last is full
 * and the last is never full, maybe empty: so no chunk must be held back to learn whether it is the last.
 */
export async function* sealDbk(
  reader: BlockReader,
  owner: DbkOwner,
  material: DbkMaterial,
): AsyncGenerator<Buffer> {
  const { chunkBits, salt, noncePrefix, wrapNonce, dataKey } = material;
  const slot = sealSlot(owner.slot, owner.wrappingKey, salt, wrapNonce, dataKey);
  const header = encodeHeader({ chunkBits, salt, noncePrefix, slots: [slot] });
  // A copy: the header's memory is not ours any more once it is yielded.
  const digest = Buffer.from(header.subarray(-DIGEST_BYTES));
  const sealer = { key: payloadKey(dataKey, salt), noncePrefix, digest };
  const chunkBytes = 2 ** chunkBits;
  let block = await reader.read(chunkBytes);
  yield header;
  for (let index = 0; ; index += 1) {
    const final = block.bytes < chunkBytes;
    yield* sealChunk(sealer, block, index, final);
    reader.release();
    if (final) return;
    block = await reader.read(chunkBytes);
  }
}

interface Sealer {
  readonly key: Buffer;
  readonly noncePrefix: Buffer;
  readonly digest: Buffer;
}

/** Encrypts the pieces of a chunk one by one: joining them first would copy every byte once more. */
function* sealChunk(sealer: Sealer, block: Block, index: number, final: boolean): Generator<Buffer> {
  const nonce = chunkNonce(sealer.noncePrefix, index, final);
  const cipher = createCipheriv('aes-256-gcm', sealer.key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(sealer.digest);
  for (const piece of block.pieces) yield cipher.update(piece);
  cipher.final();
  yield cipher.getAuthTag();
}
