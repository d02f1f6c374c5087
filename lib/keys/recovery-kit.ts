import { lstat, mkdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { BackupError, toBackupError } from '../errors.ts';
import { createEncrypt } from '../transforms/encrypt.ts';
import { parseAgeIdentities } from './age-identity.ts';
import { type ExportedKey, encodeKeyFile } from './key-file.ts';
import { recoveryGuide } from './recovery-guide.ts';
import { createSecretFile } from './secret-file.ts';
import { secretProblem } from './strength.ts';
import type { Vault, VaultKeyInfo } from './vault.ts';

export const KEY_FILE = 'dbackup-keys.json';
export const DECRYPTOR_FILE = 'dbackup-decrypt.mjs';
export const IDENTITY_FILE = 'age-identities.txt';
export const GUIDE_FILE = 'README.md';

/** The decryptor beside this file, in the sources as in the built package. */
export const DECRYPTOR = new URL(`./recovery/${DECRYPTOR_FILE}`, import.meta.url);

export interface RecoveryKitRequest {
  /** Folder of the kit; made when it is not there. */
  readonly directory: string;
  readonly vault?: Vault | undefined;
  /** Names of the vault keys to hand out, each with all its versions. */
  readonly keys: 'all' | readonly string[];
  /** age identities to hand out. */
  readonly identities?: readonly string[];
  /** Who finds the kit can read every backup with it, unless a passphrase protects its keys. */
  readonly protection:
    | { readonly type: 'passphrase'; readonly passphrase: string }
    | { readonly type: 'plain' };
}

export interface RecoveryKit {
  readonly directory: string;
  /** Names of the files written into it. */
  readonly files: readonly string[];
  readonly keys: readonly { readonly id: string; readonly name: string; readonly version: number }[];
}

/**
 * Writes what a person needs to open backups without this product: the keys, the decryptor and instructions.
 * Only the owner can read the files, and none is overwritten.
 * @throws BackupError `invalid-config` for a weak passphrase, `missing-key` for a key that the vault does not
 *   have, `already-exists`, `permission`, `no-space`; then nothing is left behind
 */
export async function writeRecoveryKit(request: RecoveryKitRequest): Promise<RecoveryKit> {
  const passphrase = checkedPassphrase(request);
  const keys = await chosenKeys(request);
  const contents = await kitContents(keys, request.identities ?? [], passphrase);
  await makeFolder(request.directory);
  await refuseExisting(request.directory, [...contents.keys()]);
  await writeAll(request.directory, contents);
  const written = keys.map(({ id, name, version }) => ({ id, name, version }));
  return { directory: request.directory, files: [...contents.keys()], keys: written };
}

function checkedPassphrase({ protection }: RecoveryKitRequest): string | undefined {
  if (protection.type === 'plain') return undefined;
  const problem = secretProblem(protection.passphrase);
  if (problem === undefined) return protection.passphrase;
  throw new BackupError('invalid-config', `The passphrase of the recovery kit ${problem}`);
}

async function chosenKeys({ vault, keys }: RecoveryKitRequest): Promise<ExportedKey[]> {
  const known = (await vault?.listKeys()) ?? [];
  const chosen = keys === 'all' ? known : keys.map((name) => named(known, name));
  const exported: ExportedKey[] = [];
  for (const { id, name, versions } of new Set(chosen)) {
    for (const { version } of versions) {
      const key = await vault?.key(id, version);
      if (key !== undefined) exported.push({ id, name, version, key });
    }
  }
  return exported;
}

function named(known: readonly VaultKeyInfo[], name: string): VaultKeyInfo {
  const info = known.find((candidate) => candidate.name === name);
  if (info !== undefined) return info;
  const names = known.map((key) => `'${key.name}'`).join(', ') || 'none';
  throw new BackupError('missing-key', `There is no vault key named '${name}'; there is: ${names}`);
}

async function kitContents(
  keys: readonly ExportedKey[],
  identities: readonly string[],
  passphrase: string | undefined,
): Promise<Map<string, string | Buffer>> {
  const contents = new Map<string, string | Buffer>();
  const identityFile = passphrase === undefined ? IDENTITY_FILE : `${IDENTITY_FILE}.age`;
  contents.set(DECRYPTOR_FILE, await readFile(DECRYPTOR));
  if (keys.length > 0) contents.set(KEY_FILE, await encodeKeyFile(keys, passphrase));
  if (identities.length > 0) contents.set(identityFile, await identityText(identities, passphrase));
  const guide = recoveryGuide({
    keys,
    keyFile: KEY_FILE,
    decryptor: DECRYPTOR_FILE,
    identityFile: identities.length > 0 ? identityFile : undefined,
    isProtected: passphrase !== undefined,
    madeAt: new Date(),
  });
  return contents.set(GUIDE_FILE, guide);
}

/** One identity a line; under a passphrase as an age file, which `age -i` reads as it is. */
async function identityText(identities: readonly string[], passphrase: string | undefined): Promise<Buffer> {
  const text = Buffer.from(`${(await parseAgeIdentities(identities.join('\n'))).join('\n')}\n`);
  if (passphrase === undefined) return text;
  const pass = createEncrypt({ type: 'passphrase', passphrase }, { format: 'age' });
  async function* input(): AsyncGenerator<Buffer> {
    yield text;
  }
  const pieces: Buffer[] = [];
  const { output } = pass.forward(input(), new AbortController().signal);
  for await (const piece of output) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function makeFolder(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw toBackupError(error, `The folder ${directory} of the recovery kit cannot be made`);
  }
}

async function refuseExisting(directory: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const found = await lstat(join(directory, name)).then(
      () => true,
      () => false,
    );
    if (!found) continue;
    throw new BackupError(
      'already-exists',
      `${join(directory, name)} exists already: choose an empty folder for the recovery kit`,
    );
  }
}

async function writeAll(directory: string, contents: ReadonlyMap<string, string | Buffer>): Promise<void> {
  const written: string[] = [];
  try {
    for (const [name, content] of contents) {
      const file = join(directory, name);
      await createSecretFile(file, content);
      written.push(file);
    }
  } catch (error) {
    for (const file of written) await unlink(file).catch(() => undefined);
    throw error;
  }
}
