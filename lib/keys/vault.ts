import { randomBytes } from 'node:crypto';
import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BackupError, toBackupError } from '../errors.ts';
import { withFileLock } from '../file-lock.ts';
import type { EncryptionKey } from './keys.ts';
import { deriveFromPassphrase } from './scrypt.ts';
import { replaceSecretFile } from './secret-file.ts';
import { secretProblem } from './strength.ts';
import {
  newCheck,
  newKdf,
  newKeyVersion,
  openKeyVersion,
  opensCheck,
  readVaultFile,
  type StoredKey,
  type VaultDocument,
  vaultText,
} from './vault-file.ts';

export type VaultKey = Extract<EncryptionKey, { type: 'vault' }>;

/** A key as a person may see it. */
export interface VaultKeyInfo {
  readonly id: string;
  readonly name: string;
  readonly createdAt: string;
  /** Ascending; the last one encrypts new files. */
  readonly versions: readonly { readonly version: number; readonly createdAt: string }[];
}

const KEY_NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,63}$/u;

/**
 * Named keys in one file, `vault.json`, wrapped under a key derived from the master secret. The file is read
 * anew for each question, so several processes may use and extend one vault at the same time.
 */
export class Vault {
  readonly file: string;
  readonly #masterKey: Buffer;

  private constructor(file: string, masterKey: Buffer) {
    this.file = file;
    this.#masterKey = masterKey;
  }

  /**
   * Opens an existing vault. Takes some 0.3 s.
   * @throws BackupError `wrong-key` when the master secret is not this vault's, `not-found`, `permission`,
   *   `corrupt`, `invalid-config` for a vault of a newer version
   */
  static async open(file: string, masterSecret: string): Promise<Vault> {
    const document = await readVaultFile(file);
    const masterKey = await deriveMasterKey(masterSecret, document.kdf);
    const vault = new Vault(file, masterKey);
    vault.#check(document);
    return vault;
  }

  /**
   * Makes a vault without keys, and its folder.
   * @throws BackupError `already-exists`, `invalid-config` for a weak master secret, `permission`, `no-space`
   */
  static async create(file: string, masterSecret: string): Promise<Vault> {
    const problem = secretProblem(masterSecret);
    if (problem !== undefined) throw new BackupError('invalid-config', `The master secret ${problem}`);
    const kdf = newKdf();
    const masterKey = await deriveMasterKey(masterSecret, kdf);
    const check = newCheck(masterKey);
    await makeFolder(dirname(file));
    await underLock(file, async () => {
      if (await exists(file)) throw new BackupError('already-exists', `The vault ${file} exists already`);
      await replaceSecretFile(file, vaultText({ format: 'dbackup-vault', version: 1, kdf, check, keys: [] }));
    });
    return new Vault(file, masterKey);
  }

  /** Opens the vault, or makes it when there is none. @throws BackupError as `open` and `create` */
  static async openOrCreate(file: string, masterSecret: string): Promise<Vault> {
    try {
      if (!(await exists(file))) return await Vault.create(file, masterSecret);
    } catch (error) {
      if (!(error instanceof BackupError) || error.code !== 'already-exists') throw error;
    }
    return await Vault.open(file, masterSecret);
  }

  /**
   * Makes a key with its first version.
   * @throws BackupError `already-exists` when the name is taken, `invalid-config` when it is no name
   */
  async createKey(name: string): Promise<VaultKey> {
    return await this.#change((document) => {
      if (find(document, name) !== undefined) {
        throw new BackupError('already-exists', `The vault has a key named '${name}' already`);
      }
      return this.#newest(this.#add(document, name));
    });
  }

  /** The key of this name, made now when there is none. @throws BackupError `invalid-config` for a bad name */
  async ensureKey(name: string): Promise<VaultKey> {
    const stored = find(await this.#read(), name);
    if (stored !== undefined) return this.#newest(stored);
    return await this.#change((document) => this.#newest(find(document, name) ?? this.#add(document, name)));
  }

  /** Adds a version, which encrypts from now on; files of older versions stay readable. @throws `missing-key` */
  async addVersion(name: string): Promise<VaultKey> {
    return await this.#change((document) => {
      const stored = this.#named(document, name);
      const version = latest(stored).version + 1;
      stored.versions.push(newKeyVersion(this.#masterKey, stored.id, version));
      return this.#newest(stored);
    });
  }

  /** The newest version of the key of this name. @throws BackupError `missing-key` */
  async currentKey(name: string): Promise<VaultKey> {
    return this.#newest(this.#named(await this.#read(), name));
  }

  /** The 32 bytes of one key version; undefined when the vault does not have it. @throws `corrupt` */
  async key(id: string, version: number): Promise<Buffer | undefined> {
    const stored = (await this.#read()).keys.find((key) => key.id === id);
    if (stored?.versions.some((entry) => entry.version === version) !== true) return undefined;
    return this.#open(stored, version);
  }

  /** All keys, by name. */
  async listKeys(): Promise<VaultKeyInfo[]> {
    const { keys } = await this.#read();
    return keys.map(infoOf).sort((one, other) => one.name.localeCompare(other.name, 'en'));
  }

  #add(document: VaultDocument, name: string): StoredKey {
    if (!KEY_NAME.test(name)) {
      throw new BackupError(
        'invalid-config',
        `'${name}' is no key name: take 1 to 64 letters, digits, blanks or . _ - and start with a letter or digit`,
      );
    }
    const id = `vk-${randomBytes(8).toString('hex')}`;
    const version = newKeyVersion(this.#masterKey, id, 1);
    const stored: StoredKey = { id, name, createdAt: version.createdAt, versions: [version] };
    document.keys.push(stored);
    return stored;
  }

  #named(document: VaultDocument, name: string): StoredKey {
    const stored = find(document, name);
    if (stored !== undefined) return stored;
    const names = document.keys.map((key) => `'${key.name}'`).join(', ') || 'none yet';
    throw new BackupError(
      'missing-key',
      `The vault ${this.file} has no key named '${name}'; it has: ${names}`,
    );
  }

  #newest(stored: StoredKey): VaultKey {
    const { version } = latest(stored);
    return { type: 'vault', id: stored.id, version, key: this.#open(stored, version) };
  }

  #open(stored: StoredKey, version: number): Buffer {
    const entry = stored.versions.find((candidate) => candidate.version === version);
    const key = entry && openKeyVersion(this.#masterKey, stored.id, entry);
    if (key !== undefined) return key;
    throw new BackupError(
      'corrupt',
      `The vault ${this.file} is damaged: version ${version} of the key ${stored.id} does not open. Restore it from a copy`,
    );
  }

  async #read(): Promise<VaultDocument> {
    const document = await readVaultFile(this.file);
    this.#check(document);
    return document;
  }

  async #change<T>(change: (document: VaultDocument) => T): Promise<T> {
    return await underLock(this.file, async () => {
      const document = await this.#read();
      const result = change(document);
      await replaceSecretFile(this.file, vaultText(document));
      return result;
    });
  }

  #check(document: VaultDocument): void {
    if (opensCheck(document, this.#masterKey)) return;
    throw new BackupError(
      'wrong-key',
      `The master secret does not open the vault ${this.file}: give the one that it was made with`,
    );
  }
}

function deriveMasterKey(masterSecret: string, kdf: VaultDocument['kdf']): Promise<Buffer> {
  return deriveFromPassphrase(masterSecret, Buffer.from(kdf.salt, 'base64'), kdf);
}

function underLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  return withFileLock(`${file}.lock`, work);
}

function find(document: VaultDocument, name: string): StoredKey | undefined {
  return document.keys.find((key) => key.name === name);
}

function latest(stored: StoredKey): StoredKey['versions'][number] {
  return stored.versions.reduce((newest, entry) => (entry.version > newest.version ? entry : newest));
}

function infoOf({ id, name, createdAt, versions }: StoredKey): VaultKeyInfo {
  const dates = versions.map(({ version, createdAt: date }) => ({ version, createdAt: date }));
  return { id, name, createdAt, versions: dates.sort((one, other) => one.version - other.version) };
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw toBackupError(error, `The folder ${folder} of the vault cannot be made`);
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch (error) {
    const failure = toBackupError(error, `The vault ${file} cannot be looked up`);
    if (failure.code === 'not-found') return false;
    throw failure;
  }
}
