import { randomBytes } from 'node:crypto';
import type { Recipient } from 'age-encryption';
import { orAbort } from '../abort.ts';
import { freeMemory, withRelease } from '../bytes/release.ts';
import { BackupError } from '../errors.ts';
import type { EncryptionKey } from '../keys/keys.ts';
import { deriveFromPassphrase, SCRYPT_DEFAULT, SCRYPT_SALT_BYTES } from '../keys/scrypt.ts';
import { secretProblem } from '../keys/strength.ts';
import { KEY_BYTES } from '../keys/wrapping.ts';
import { checkRecipients } from './age/recipients.ts';
import { PassphraseRecipient } from './age/scrypt.ts';
import { sealAge } from './age/seal.ts';
import { type BlockReader, throughBlocks } from './block-reader.ts';
import { type DbkOwner, freshMaterial, sealDbk } from './dbk/seal.ts';
import type { EncryptRecord } from './records.ts';
import type { Transform } from './transform.ts';

export interface EncryptOptions {
  /** `dbk` for vault keys and passphrases, `age` for age recipients and passphrases. */
  readonly format: EncryptRecord['format'];
}

/** How one configured key encrypts files, and how the manifest names it. */
interface Sealing {
  readonly key: EncryptRecord['key'];
  seal(reader: BlockReader, signal: AbortSignal): AsyncIterable<Buffer>;
}

/**
 * The encrypting transform. Formats: docs/format.md and https://age-encryption.org/v1
 * @throws BackupError `invalid-config` when the format cannot carry this kind of key, or the key is malformed
 */
export function createEncrypt(key: EncryptionKey, options: EncryptOptions): Transform {
  const { format } = options;
  const sealing = format === 'dbk' ? dbkSealing(key) : ageSealing(key);
  const record: EncryptRecord = { kind: 'encrypt', format, key: sealing.key };
  return {
    kind: 'encrypt',
    extension: `.${format}`,
    forward: (input, signal) => ({
      output: withRelease(
        throughBlocks(input, signal, (reader) => sealing.seal(reader, signal)),
        freeCiphertext,
      ),
      record: () => record,
    }),
  };
}

/** Each piece has memory of its own, but small ones may share theirs. */
function freeCiphertext(piece: Buffer): void {
  if (piece.length === piece.buffer.byteLength) freeMemory(piece);
}

function dbkSealing(key: EncryptionKey): Sealing {
  if (key.type === 'age') {
    throw new BackupError('invalid-config', 'The .dbk format takes no age recipients: choose the format age');
  }
  const owner = key.type === 'vault' ? vaultOwner(key) : passphraseOwner(checkedPassphrase(key.passphrase));
  return {
    key: key.type === 'vault' ? { type: 'vault', id: key.id, version: key.version } : { type: 'passphrase' },
    async *seal(reader, signal) {
      yield* sealDbk(reader, await orAbort(owner(), signal), freshMaterial());
    },
  };
}

function ageSealing(key: EncryptionKey): Sealing {
  if (key.type === 'vault') {
    throw new BackupError('invalid-config', 'The age format takes no vault key: choose the format dbk');
  }
  if (key.type === 'age') {
    const recipients = checkRecipients(key.recipients);
    return sealingFor({ type: 'age', recipients: [...recipients] }, recipients);
  }
  const recipient = new PassphraseRecipient(checkedPassphrase(key.passphrase));
  return sealingFor({ type: 'passphrase' }, [recipient]);
}

function sealingFor(key: EncryptRecord['key'], recipients: readonly (string | Recipient)[]): Sealing {
  return { key, seal: (reader, signal) => sealAge(reader, recipients, signal) };
}

function vaultOwner(key: EncryptionKey & { type: 'vault' }): () => Promise<DbkOwner> {
  if (key.key.length !== KEY_BYTES) {
    throw new BackupError(
      'invalid-config',
      `The vault key ${key.id} has ${key.key.length} bytes instead of 32`,
    );
  }
  const { id, version } = key;
  return async () => ({ slot: { type: 'vault', id, version }, wrappingKey: key.key });
}

/**
 * scrypt runs once for all files of this transform: each file wraps its data key under a key derived from
 * this one and the file's own salt.
 */
function passphraseOwner(passphrase: string): () => Promise<DbkOwner> {
  let derived: Promise<DbkOwner> | undefined;
  const derive = async (): Promise<DbkOwner> => {
    const salt = randomBytes(SCRYPT_SALT_BYTES);
    const wrappingKey = await deriveFromPassphrase(passphrase, salt, SCRYPT_DEFAULT);
    return { slot: { type: 'passphrase', salt, scrypt: SCRYPT_DEFAULT }, wrappingKey };
  };
  return () => {
    derived ??= derive();
    return derived;
  };
}

function checkedPassphrase(passphrase: string): string {
  const problem = secretProblem(passphrase);
  if (problem !== undefined) throw new BackupError('invalid-config', `The encryption passphrase ${problem}`);
  return passphrase;
}
