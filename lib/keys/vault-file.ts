import { randomBytes } from 'node:crypto';
import { open } from 'node:fs/promises';
import { z } from 'zod';
import { BackupError, toBackupError } from '../errors.ts';
import { base64Bytes, KEY_ID } from './fields.ts';
import { SCRYPT_DEFAULT, SCRYPT_SALT_BYTES, scryptProblem } from './scrypt.ts';
import { KEY_BYTES, NONCE_BYTES, TAG_BYTES, unwrap, wrap } from './wrapping.ts';

const scryptRecord = z
  .object({
    type: z.literal('scrypt'),
    logN: z.number().int(),
    r: z.number().int(),
    p: z.number().int(),
    salt: base64Bytes(SCRYPT_SALT_BYTES),
  })
  .refine((kdf) => scryptProblem(kdf) === undefined, 'scrypt parameters out of bounds');

const keyVersion = z.object({
  version: z.number().int().positive().max(0xffffffff),
  createdAt: z.iso.datetime(),
  nonce: base64Bytes(NONCE_BYTES),
  wrapped: base64Bytes(KEY_BYTES + TAG_BYTES),
});

const vaultKey = z.object({
  id: z.string().regex(KEY_ID),
  name: z.string().min(1).max(64),
  createdAt: z.iso.datetime(),
  versions: z.array(keyVersion).min(1).refine(unique('version'), 'a version appears twice'),
});

/** `vault.json`, version 1: docs/format.md. */
const vaultDocument = z.object({
  format: z.literal('dbackup-vault'),
  version: z.literal(1),
  kdf: scryptRecord,
  /** Nothing, sealed under the master key: tells a wrong secret from a damaged key. */
  check: z.object({ nonce: base64Bytes(NONCE_BYTES), sealed: base64Bytes(TAG_BYTES) }),
  keys: z
    .array(vaultKey)
    .refine(unique('id'), 'a key id appears twice')
    .refine(unique('name'), 'a key name appears twice'),
});

export type VaultDocument = z.infer<typeof vaultDocument>;
export type StoredKey = z.infer<typeof vaultKey>;
export type StoredKeyVersion = z.infer<typeof keyVersion>;

/** A vault larger than this is not one of ours, in bytes. */
const MAX_VAULT_BYTES = 16 * 1024 * 1024;
const CHECK = Buffer.from('dbackup-vault-v1 check');

function unique<Field extends string>(field: Field) {
  return (items: readonly Readonly<Record<Field, unknown>>[]) =>
    new Set(items.map((item) => item[field])).size === items.length;
}

/**
 * Reads a vault file.
 * @throws BackupError `not-found`, `permission`, `corrupt`, or `invalid-config` for one of a newer version
 */
export async function readVaultFile(file: string): Promise<VaultDocument> {
  const text = await readText(file);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw new BackupError('corrupt', `The vault ${file} is damaged: it is not JSON. Restore it from a copy`);
  }
  const version = typeof json === 'object' && json !== null && 'version' in json ? json.version : undefined;
  if (typeof version === 'number' && version > 1) {
    throw new BackupError(
      'invalid-config',
      `The vault ${file} has version ${version}, this DBackup reads version 1: update it`,
    );
  }
  const parsed = vaultDocument.safeParse(json);
  if (parsed.success) return parsed.data;
  const problem = z.prettifyError(parsed.error).replaceAll('\n', ' ');
  throw new BackupError('corrupt', `The vault ${file} is damaged: ${problem}. Restore it from a copy`);
}

export function vaultText(document: VaultDocument): string {
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

/** Fresh parameters for deriving a master key from the master secret. */
export function newKdf(): VaultDocument['kdf'] {
  return { type: 'scrypt', ...SCRYPT_DEFAULT, salt: randomBytes(SCRYPT_SALT_BYTES).toString('base64') };
}

export function newCheck(masterKey: Buffer): VaultDocument['check'] {
  const nonce = randomBytes(NONCE_BYTES);
  return {
    nonce: nonce.toString('base64'),
    sealed: wrap(masterKey, nonce, CHECK, Buffer.alloc(0)).toString('base64'),
  };
}

/** True when this master key is the vault's. */
export function opensCheck({ check }: VaultDocument, masterKey: Buffer): boolean {
  return unwrap(masterKey, decode(check.nonce), CHECK, decode(check.sealed)) !== undefined;
}

export function newKeyVersion(masterKey: Buffer, id: string, version: number): StoredKeyVersion {
  const nonce = randomBytes(NONCE_BYTES);
  const wrapped = wrap(masterKey, nonce, keyLabel(id, version), randomBytes(KEY_BYTES));
  return {
    version,
    createdAt: new Date().toISOString(),
    nonce: nonce.toString('base64'),
    wrapped: wrapped.toString('base64'),
  };
}

/** The 32-byte key, or undefined when its wrapped form is damaged or stands at another id or version. */
export function openKeyVersion(masterKey: Buffer, id: string, stored: StoredKeyVersion): Buffer | undefined {
  return unwrap(masterKey, decode(stored.nonce), keyLabel(id, stored.version), decode(stored.wrapped));
}

function keyLabel(id: string, version: number): Buffer {
  return Buffer.from(`dbackup-vault-v1 key\0${id}\0${version}`);
}

function decode(base64: string): Buffer {
  return Buffer.from(base64, 'base64');
}

async function readText(file: string): Promise<string> {
  try {
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      if (size > MAX_VAULT_BYTES) {
        throw new BackupError('corrupt', `The vault ${file} is damaged: it is larger than 16 MiB`);
      }
      return await handle.readFile('utf8');
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw toBackupError(error, `The vault ${file} cannot be read`);
  }
}
