import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type Identity, type Recipient, Stanza } from 'age-encryption';
import { BackupError } from '../../errors.ts';
import { deriveScrypt, SCRYPT_SALT_BYTES } from '../../keys/scrypt.ts';

const LABEL = Buffer.from('age-encryption.org/v1/scrypt');
/** 128 MiB and some 0.4 s for files that we write. */
const WRITE_LOG_N = 17;
/** What the `age` command writes, 256 MiB; more is refused, as a hostile file could ask for anything. */
const MAX_LOG_N = 18;
const ZERO_NONCE = Buffer.alloc(12);
const TAG_BYTES = 16;

/**
 * The passphrase recipient of age v1. The library has one too, but it computes scrypt in JavaScript on the
 * main thread, which stops the whole process for seconds.
 */
export class PassphraseRecipient implements Recipient {
  readonly #passphrase: string;

  constructor(passphrase: string) {
    this.#passphrase = passphrase;
  }

  async wrapFileKey(fileKey: Uint8Array): Promise<Stanza[]> {
    const salt = randomBytes(SCRYPT_SALT_BYTES);
    const key = await deriveKey(this.#passphrase, salt, WRITE_LOG_N);
    const cipher = createCipheriv('chacha20-poly1305', key, ZERO_NONCE, { authTagLength: TAG_BYTES });
    const body = Buffer.concat([cipher.update(fileKey), cipher.final(), cipher.getAuthTag()]);
    return [new Stanza(['scrypt', base64(salt), String(WRITE_LOG_N)], body)];
  }
}

/** Opens files of the passphrase recipient, with bounded work. */
export class PassphraseIdentity implements Identity {
  readonly #passphrase: string;

  constructor(passphrase: string) {
    this.#passphrase = passphrase;
  }

  /** @throws BackupError `corrupt` for a malformed stanza, `invalid-config` for one that asks for too much work */
  async unwrapFileKey(stanzas: Stanza[]): Promise<Uint8Array | null> {
    const stanza = stanzas.find(({ args }) => args[0] === 'scrypt');
    if (stanza === undefined) return null;
    const { salt, logN } = parse(stanza);
    if (stanzas.length !== 1 || salt === undefined || logN === undefined || stanza.body.length !== 32) {
      throw new BackupError('corrupt', 'The passphrase stanza of the age file is damaged');
    }
    if (logN > MAX_LOG_N) {
      throw new BackupError(
        'invalid-config',
        `The age file asks for scrypt work factor ${logN}, here up to ${MAX_LOG_N} is computed: open it with the age command`,
      );
    }
    return open(await deriveKey(this.#passphrase, salt, logN), Buffer.from(stanza.body));
  }
}

function parse({ args }: Stanza): { salt?: Buffer; logN?: number } {
  const [, saltText = '', factor = ''] = args;
  const salt = Buffer.from(saltText, 'base64');
  if (args.length !== 3 || salt.length !== SCRYPT_SALT_BYTES || base64(salt) !== saltText) return {};
  return /^[1-9][0-9]?$/.test(factor) ? { salt, logN: Number(factor) } : {};
}

function open(key: Buffer, body: Buffer): Buffer | null {
  const decipher = createDecipheriv('chacha20-poly1305', key, ZERO_NONCE, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(body.subarray(-TAG_BYTES));
  const fileKey = decipher.update(body.subarray(0, -TAG_BYTES));
  try {
    decipher.final();
  } catch {
    return null;
  }
  return fileKey;
}

/** age takes a passphrase as its UTF-8 bytes, unchanged. */
function deriveKey(passphrase: string, salt: Buffer, logN: number): Promise<Buffer> {
  const labelled = Buffer.concat([LABEL, salt]);
  return deriveScrypt(Buffer.from(passphrase, 'utf8'), labelled, { logN, r: 8, p: 1 });
}

function base64(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '');
}
