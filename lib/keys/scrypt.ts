import { type BinaryLike, type ScryptOptions, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { BackupError } from '../errors.ts';
import { KEY_BYTES } from './wrapping.ts';

const scryptAsync = promisify<BinaryLike, BinaryLike, number, ScryptOptions, Buffer>(scrypt);

/** Parameters of scrypt (RFC 7914). Memory is 128·2^logN·r bytes, time grows with 2^logN·r·p. */
export interface ScryptParameters {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
}

/** 64 MiB and some 0.3 s: the cost OWASP recommends, in its variant with less memory and p = 2. */
export const SCRYPT_DEFAULT: ScryptParameters = { logN: 16, r: 8, p: 2 };

/** Salt of every scrypt derivation that we write, in bytes. */
export const SCRYPT_SALT_BYTES = 16;

const MAX_MEMORY_BYTES = 256 * 1024 * 1024;
const MAX_PARALLELISM = 4;

/**
 * Why these parameters, read from a file, shall not be computed; undefined when they may. A hostile file
 * must not take more than 256 MiB or a few seconds.
 */
export function scryptProblem({ logN, r, p }: ScryptParameters): string | undefined {
  if (logN < 1 || r < 1 || p < 1) return `scrypt parameters (${logN}, ${r}, ${p}) are impossible`;
  if (128 * 2 ** logN * r > MAX_MEMORY_BYTES || p > MAX_PARALLELISM) {
    return `scrypt parameters (${logN}, ${r}, ${p}) ask for more than 256 MiB or for too much time`;
  }
  return undefined;
}

/**
 * Derives 32 bytes from a passphrase, off the main thread. The passphrase is taken as UTF-8 of its
 * Unicode NFC form, so that it opens the file on every operating system.
 */
export function deriveFromPassphrase(
  passphrase: string,
  salt: Buffer,
  parameters: ScryptParameters,
): Promise<Buffer> {
  return deriveScrypt(Buffer.from(passphrase.normalize('NFC'), 'utf8'), salt, parameters);
}

/**
 * scrypt with 32 bytes of output, off the main thread.
 * @throws BackupError `internal` when `scryptProblem` was not asked before
 */
export async function deriveScrypt(
  secret: Buffer,
  salt: Buffer,
  parameters: ScryptParameters,
): Promise<Buffer> {
  const problem = scryptProblem(parameters);
  if (problem !== undefined) throw new BackupError('internal', problem);
  const { logN, r, p } = parameters;
  const maxmem = 128 * 2 ** logN * r + 128 * r * p + 1024 * 1024;
  try {
    return await scryptAsync(secret, salt, KEY_BYTES, { N: 2 ** logN, r, p, maxmem });
  } catch (cause) {
    throw new BackupError('internal', 'scrypt failed: too little free memory?', { cause });
  }
}
