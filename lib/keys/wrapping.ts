import { createCipheriv, createDecipheriv } from 'node:crypto';

/** AES-256-GCM's nonce, in bytes. */
export const NONCE_BYTES = 12;
/** AES-256-GCM's authentication tag, in bytes. */
export const TAG_BYTES = 16;
/** Length of every symmetric key here, in bytes. */
export const KEY_BYTES = 32;

/**
 * Seals a few bytes (a key, a key list) with AES-256-GCM: ciphertext ‖ tag.
 * The nonce must be new for this key.
 */
export function wrap(key: Buffer, nonce: Buffer, associated: Buffer, plaintext: Buffer): Buffer {
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(associated);
  return Buffer.concat([cipher.update(plaintext), cipher.final(), cipher.getAuthTag()]);
}

/** Opens what `wrap` made; undefined when key, nonce, associated data or bytes are not the same. */
export function unwrap(key: Buffer, nonce: Buffer, associated: Buffer, wrapped: Buffer): Buffer | undefined {
  if (wrapped.length < TAG_BYTES) return undefined;
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(associated);
  decipher.setAuthTag(wrapped.subarray(wrapped.length - TAG_BYTES));
  const plaintext = decipher.update(wrapped.subarray(0, wrapped.length - TAG_BYTES));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return plaintext;
}
