import { hkdfSync } from 'node:crypto';
import { BackupError } from '../../errors.ts';
import { KEY_BYTES, NONCE_BYTES } from '../../keys/wrapping.ts';
import { NONCE_PREFIX_BYTES } from './header.ts';

const PAYLOAD_INFO = 'dbackup-dbk-v1 payload';

/** The most chunks a file can have: their counter has 32 bits and never wraps. */
export const MAX_CHUNKS = 2 ** 32;

/** The key of all chunks of one file. */
export function payloadKey(dataKey: Buffer, salt: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', dataKey, salt, PAYLOAD_INFO, KEY_BYTES));
}

/**
 * Nonce of a chunk: prefix ‖ counter ‖ final flag, the STREAM construction of Hoang, Reyhanitabar,
 * Rogaway and Vizár (2015) in the widths that Tink uses for AES-GCM-HKDF streaming.
 * @throws BackupError `invalid-config` when the file has more chunks than the counter can tell apart
 */
export function chunkNonce(prefix: Buffer, index: number, final: boolean): Buffer {
  if (index >= MAX_CHUNKS) {
    throw new BackupError('invalid-config', 'The data is too large for one .dbk file: split it into several');
  }
  const nonce = Buffer.alloc(NONCE_BYTES);
  prefix.copy(nonce, 0);
  nonce.writeUInt32BE(index, NONCE_PREFIX_BYTES);
  nonce.writeUInt8(final ? 1 : 0, NONCE_BYTES - 1);
  return nonce;
}
