import { hkdfSync } from 'node:crypto';
import { BackupError } from '../../errors.ts';
import { KEY_ID } from '../../keys/fields.ts';
import { SCRYPT_SALT_BYTES, type ScryptParameters, scryptProblem } from '../../keys/scrypt.ts';
import { KEY_BYTES, NONCE_BYTES, TAG_BYTES, unwrap, wrap } from '../../keys/wrapping.ts';

/** One key slot as it stands in the header. */
export interface RawSlot {
  readonly bytes: Buffer;
}

/** Who can open a slot. */
export type SlotOwner =
  | { readonly type: 'vault'; readonly id: string; readonly version: number }
  | { readonly type: 'passphrase'; readonly salt: Buffer; readonly scrypt: ScryptParameters };

/** A slot of a known type: its owner's wrapping key opens the file's data key. */
export type KeySlot = SlotOwner & {
  /** The slot up to the nonce: the wrap's associated data. */
  readonly descriptor: Buffer;
  readonly nonce: Buffer;
  readonly wrapped: Buffer;
};

/** Type and length of a slot, in bytes. */
export const SLOT_PREFIX_BYTES = 3;
const TYPE_VAULT = 1;
const TYPE_PASSPHRASE = 2;
const SEAL_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES;
const WRAP_INFO = 'dbackup-dbk-v1 wrap';

/**
 * Wraps the data key for one owner.
 * @param wrappingKey the vault key, or what scrypt made of the passphrase; 32 bytes
 * @param salt the file's salt
 */
export function sealSlot(
  owner: SlotOwner,
  wrappingKey: Buffer,
  salt: Buffer,
  nonce: Buffer,
  dataKey: Buffer,
): RawSlot {
  const descriptor = encodeDescriptor(owner);
  const sealed = wrap(fileWrappingKey(wrappingKey, salt), nonce, descriptor, dataKey);
  return { bytes: Buffer.concat([descriptor, nonce, sealed]) };
}

/** The data key; undefined when the wrapping key is not the slot's. */
export function openSlot(slot: KeySlot, wrappingKey: Buffer, salt: Buffer): Buffer | undefined {
  return unwrap(fileWrappingKey(wrappingKey, salt), slot.nonce, slot.descriptor, slot.wrapped);
}

/** Reads a slot; undefined for a type of a later version. @throws BackupError `corrupt` */
export function parseSlot({ bytes }: RawSlot): KeySlot | undefined {
  const type = bytes.readUInt8(0);
  if (type !== TYPE_VAULT && type !== TYPE_PASSPHRASE) return undefined;
  const descriptor = bytes.subarray(0, Math.max(SLOT_PREFIX_BYTES, bytes.length - SEAL_BYTES));
  const owner = type === TYPE_VAULT ? parseVault(descriptor) : parsePassphrase(descriptor);
  const sealAt = descriptor.length;
  return {
    ...owner,
    descriptor,
    nonce: bytes.subarray(sealAt, sealAt + NONCE_BYTES),
    wrapped: bytes.subarray(sealAt + NONCE_BYTES),
  };
}

function parseVault(descriptor: Buffer): SlotOwner {
  const body = descriptor.subarray(SLOT_PREFIX_BYTES);
  const idBytes = body[0] ?? 0;
  if (body.length !== 1 + idBytes + 4) throw damaged();
  const id = body.toString('latin1', 1, 1 + idBytes);
  const version = body.readUInt32BE(1 + idBytes);
  if (!KEY_ID.test(id) || version < 1) throw damaged();
  return { type: 'vault', id, version };
}

function parsePassphrase(descriptor: Buffer): SlotOwner {
  const body = descriptor.subarray(SLOT_PREFIX_BYTES);
  if (body.length !== 3 + SCRYPT_SALT_BYTES) throw damaged();
  const scrypt = { logN: body.readUInt8(0), r: body.readUInt8(1), p: body.readUInt8(2) };
  const problem = scryptProblem(scrypt);
  if (problem !== undefined)
    throw new BackupError('corrupt', `The .dbk file's header is not ours: ${problem}`);
  return { type: 'passphrase', salt: body.subarray(3), scrypt };
}

function encodeDescriptor(owner: SlotOwner): Buffer {
  const body = owner.type === 'vault' ? encodeVault(owner.id, owner.version) : encodePassphrase(owner);
  const prefix = Buffer.alloc(SLOT_PREFIX_BYTES);
  prefix.writeUInt8(owner.type === 'vault' ? TYPE_VAULT : TYPE_PASSPHRASE, 0);
  prefix.writeUInt16BE(body.length + SEAL_BYTES, 1);
  return Buffer.concat([prefix, body]);
}

function encodeVault(id: string, version: number): Buffer {
  if (!KEY_ID.test(id) || !Number.isInteger(version) || version < 1 || version > 0xffffffff) {
    throw new BackupError(
      'invalid-config',
      `The vault key '${id}' version ${version} has no valid id or version`,
    );
  }
  const body = Buffer.alloc(1 + id.length + 4);
  body.writeUInt8(id.length, 0);
  body.write(id, 1, 'latin1');
  body.writeUInt32BE(version, 1 + id.length);
  return body;
}

function encodePassphrase(owner: SlotOwner & { type: 'passphrase' }): Buffer {
  const { logN, r, p } = owner.scrypt;
  return Buffer.concat([Buffer.from([logN, r, p]), owner.salt]);
}

/** A long-lived key wraps each file's data key under a key of that file's own, so nonces cannot meet. */
function fileWrappingKey(wrappingKey: Buffer, salt: Buffer): Buffer {
  return Buffer.from(hkdfSync('sha256', wrappingKey, salt, WRAP_INFO, KEY_BYTES));
}

function damaged(): BackupError {
  return new BackupError('corrupt', 'A key slot in the header of the .dbk file is damaged');
}
