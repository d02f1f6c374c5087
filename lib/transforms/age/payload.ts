/** Plaintext bytes of every chunk but the last, as age v1 prescribes. */
export const CHUNK_BYTES = 64 * 1024;
export const TAG_BYTES = 16;

const NONCE_BYTES = 12;
const COUNTER_AT = 5;
const COUNTER_BYTES = 6;

/**
 * Nonce of a chunk: an 11-byte big-endian counter, then the final flag. The counter's upper 5 bytes stay
 * zero: 2^48 chunks are 16 EiB.
 */
export function chunkNonce(index: number, final: boolean): Buffer {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeUIntBE(index, COUNTER_AT, COUNTER_BYTES);
  nonce.writeUInt8(final ? 1 : 0, NONCE_BYTES - 1);
  return nonce;
}
