import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { BackupError } from '../errors.ts';
import { base64Bytes, KEY_ID } from './fields.ts';
import { deriveFromPassphrase, SCRYPT_DEFAULT, SCRYPT_SALT_BYTES, scryptProblem } from './scrypt.ts';
import { KEY_BYTES, NONCE_BYTES, unwrap, wrap } from './wrapping.ts';

/** One version of a vault key, as the recovery kit hands it out. */
export interface ExportedKey {
  readonly id: string;
  readonly name: string;
  readonly version: number;
  readonly key: Buffer;
}

const keyList = z.array(
  z.object({
    id: z.string().regex(KEY_ID),
    name: z.string(),
    version: z.number().int().positive().max(0xffffffff),
    key: base64Bytes(KEY_BYTES),
  }),
);

const protection = z
  .object({
    type: z.literal('scrypt'),
    logN: z.number().int(),
    r: z.number().int(),
    p: z.number().int(),
    salt: base64Bytes(SCRYPT_SALT_BYTES),
    nonce: base64Bytes(NONCE_BYTES),
  })
  .refine((record) => scryptProblem(record) === undefined, 'scrypt parameters out of bounds');

const head = { format: z.literal('dbackup-keys'), version: z.literal(1) };

/** `dbackup-keys.json`, version 1: docs/format.md. */
const keyFile = z.union([
  z.object({ ...head, keys: keyList }),
  z.object({ ...head, protection, sealed: z.base64() }),
]);

const ASSOCIATED = Buffer.from('dbackup-keys-v1');

/** The text of a key file: readable by anyone when no passphrase is given. */
export async function encodeKeyFile(
  keys: readonly ExportedKey[],
  passphrase: string | undefined,
): Promise<string> {
  const list = keys.map(({ id, name, version, key }) => ({ id, name, version, key: key.toString('base64') }));
  const start = { format: 'dbackup-keys', version: 1 };
  if (passphrase === undefined) return textOf({ ...start, keys: list });
  const salt = randomBytes(SCRYPT_SALT_BYTES);
  const nonce = randomBytes(NONCE_BYTES);
  const wrappingKey = await deriveFromPassphrase(passphrase, salt, SCRYPT_DEFAULT);
  const sealed = wrap(wrappingKey, nonce, ASSOCIATED, Buffer.from(JSON.stringify(list)));
  const kdf = { type: 'scrypt', ...SCRYPT_DEFAULT, salt: salt.toString('base64') };
  return textOf({
    ...start,
    protection: { ...kdf, nonce: nonce.toString('base64') },
    sealed: sealed.toString('base64'),
  });
}

/** True when the key file's text needs a passphrase. @throws BackupError `corrupt` */
export function isProtected(text: string, where: string): boolean {
  return 'sealed' in parse(text, where);
}

/**
 * The keys in a key file's text.
 * @param where the file's name, for errors
 * @throws BackupError `corrupt`, `missing-key` when a passphrase is needed, `wrong-key` when it is not the right one
 */
export async function decodeKeyFile(
  text: string,
  where: string,
  passphrase: string | undefined,
): Promise<ExportedKey[]> {
  const file = parse(text, where);
  const list = 'keys' in file ? file.keys : await openList(file, where, passphrase);
  return list.map((entry) => ({ ...entry, key: Buffer.from(entry.key, 'base64') }));
}

type KeyFile = z.infer<typeof keyFile>;

async function openList(
  file: Extract<KeyFile, { sealed: string }>,
  where: string,
  passphrase: string | undefined,
): Promise<z.infer<typeof keyList>> {
  if (passphrase === undefined) {
    throw new BackupError('missing-key', `The key file ${where} is protected by a passphrase: give it`);
  }
  const { salt, nonce, ...parameters } = file.protection;
  const wrappingKey = await deriveFromPassphrase(passphrase, Buffer.from(salt, 'base64'), parameters);
  const sealed = Buffer.from(file.sealed, 'base64');
  const list = unwrap(wrappingKey, Buffer.from(nonce, 'base64'), ASSOCIATED, sealed);
  if (list === undefined) {
    throw new BackupError('wrong-key', `The passphrase does not open the key file ${where}`);
  }
  return checked(keyList.safeParse(json(list.toString('utf8'), where)), where);
}

function parse(text: string, where: string): KeyFile {
  return checked(keyFile.safeParse(json(text, where)), where);
}

function json(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which may hold keys.
    throw new BackupError('corrupt', `${where} is not a key file of a recovery kit, or it is damaged`);
  }
}

function checked<T>(parsed: z.ZodSafeParseResult<T>, where: string): T {
  if (parsed.success) return parsed.data;
  throw new BackupError('corrupt', `${where} is not a key file of a recovery kit, or it is damaged`);
}

function textOf(value: unknown): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
