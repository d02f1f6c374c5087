import { createHash } from 'node:crypto';
import { BackupError } from '../../errors.ts';
import { type KeySlot, parseSlot, type RawSlot, SLOT_PREFIX_BYTES } from './slots.ts';

/**
 * The header of a `.dbk` file, version 1. Layout and meaning of each byte: docs/format.md.
 * Integers are big-endian.
 */
export interface DbkHeader {
  /** Base-2 logarithm of the plaintext bytes in each chunk but the last. */
  readonly chunkBits: number;
  /** 32 random bytes that make every key derived for this file its own. */
  readonly salt: Buffer;
  /** First 7 bytes of every chunk's nonce. */
  readonly noncePrefix: Buffer;
  readonly slots: readonly RawSlot[];
}

export interface ParsedHeader extends DbkHeader {
  /** SHA-256 of the header, its last 32 bytes; the associated data of every chunk. */
  readonly digest: Buffer;
  /** The slots of types this version knows. */
  readonly keySlots: readonly KeySlot[];
}

/** A byte outside ASCII, then CR LF, EOF and LF: a transfer in text mode breaks it visibly, as with PNG. */
export const DBK_MAGIC = Buffer.from([0x89, 0x44, 0x42, 0x4b, 0x0d, 0x0a, 0x1a, 0x0a]);

/** Magic, version, chunk bits and header length: the same place in every version to come. */
export const FIXED_BYTES = 12;
const SALT_AT = 12;
export const SALT_BYTES = 32;
const PREFIX_AT = SALT_AT + SALT_BYTES;
export const NONCE_PREFIX_BYTES = 7;
const SLOT_COUNT_AT = PREFIX_AT + NONCE_PREFIX_BYTES;
const SLOTS_AT = SLOT_COUNT_AT + 1;
export const DIGEST_BYTES = 32;

const VERSION = 1;
const MAX_HEADER_BYTES = 4096;
const MAX_SLOTS = 8;
const MIN_CHUNK_BITS = 12;
const MAX_CHUNK_BITS = 24;

export function encodeHeader(header: DbkHeader): Buffer {
  const slots = Buffer.concat(header.slots.map((slot) => slot.bytes));
  const length = SLOTS_AT + slots.length + DIGEST_BYTES;
  const bytes = Buffer.alloc(length);
  DBK_MAGIC.copy(bytes, 0);
  bytes.writeUInt8(VERSION, 8);
  bytes.writeUInt8(header.chunkBits, 9);
  bytes.writeUInt16BE(length, 10);
  header.salt.copy(bytes, SALT_AT);
  header.noncePrefix.copy(bytes, PREFIX_AT);
  bytes.writeUInt8(header.slots.length, SLOT_COUNT_AT);
  slots.copy(bytes, SLOTS_AT);
  digestOf(bytes).copy(bytes, length - DIGEST_BYTES);
  return bytes;
}

/** How many bytes the header has, from its first 12. @throws BackupError `corrupt`, `incomplete` */
export function headerLength(fixed: Buffer): number {
  const magic = fixed.subarray(0, DBK_MAGIC.length);
  if (!magic.equals(DBK_MAGIC.subarray(0, magic.length))) {
    throw new BackupError('corrupt', 'This is not a .dbk file, or its first bytes are damaged');
  }
  if (fixed.length < FIXED_BYTES) throw cutOff();
  const length = fixed.readUInt16BE(10);
  if (length < SLOTS_AT + DIGEST_BYTES || length > MAX_HEADER_BYTES) throw damaged();
  return length;
}

/**
 * Reads a whole header.
 * @throws BackupError `incomplete` when it is cut off, `corrupt` when it is damaged or out of bounds,
 *   `invalid-config` when it is from a newer version
 */
export function parseHeader(bytes: Buffer): ParsedHeader {
  const length = headerLength(bytes);
  if (bytes.length < length) throw cutOff();
  const digest = Buffer.from(bytes.subarray(length - DIGEST_BYTES, length));
  if (!digestOf(bytes.subarray(0, length)).equals(digest)) throw damaged();
  const version = bytes.readUInt8(8);
  if (version > VERSION) {
    throw new BackupError(
      'invalid-config',
      `The .dbk file has version ${version}, this DBackup reads version ${VERSION}: update it`,
    );
  }
  const chunkBits = bytes.readUInt8(9);
  if (version !== VERSION || chunkBits < MIN_CHUNK_BITS || chunkBits > MAX_CHUNK_BITS) throw damaged();
  const slots = splitSlots(bytes.subarray(SLOTS_AT, length - DIGEST_BYTES), bytes.readUInt8(SLOT_COUNT_AT));
  const keySlots = slots.map(parseSlot).filter((slot) => slot !== undefined);
  // One derivation per file and passphrase is all that a hostile header may ask for.
  if (keySlots.filter((slot) => slot.type === 'passphrase').length > 1) throw damaged();
  return {
    chunkBits,
    salt: Buffer.from(bytes.subarray(SALT_AT, PREFIX_AT)),
    noncePrefix: Buffer.from(bytes.subarray(PREFIX_AT, SLOT_COUNT_AT)),
    slots,
    keySlots,
    digest,
  };
}

function splitSlots(bytes: Buffer, count: number): RawSlot[] {
  const slots: RawSlot[] = [];
  let rest = Buffer.from(bytes);
  while (rest.length >= SLOT_PREFIX_BYTES) {
    const size = SLOT_PREFIX_BYTES + rest.readUInt16BE(1);
    if (rest.length < size) throw damaged();
    slots.push({ bytes: rest.subarray(0, size) });
    rest = rest.subarray(size);
  }
  if (rest.length > 0 || slots.length !== count || count < 1 || count > MAX_SLOTS) throw damaged();
  return slots;
}

function digestOf(header: Buffer): Buffer {
  return createHash('sha256')
    .update(header.subarray(0, header.length - DIGEST_BYTES))
    .digest();
}

function cutOff(): BackupError {
  return new BackupError('incomplete', 'The .dbk file is cut off within its header');
}

function damaged(): BackupError {
  return new BackupError('corrupt', 'The header of the .dbk file is damaged');
}
