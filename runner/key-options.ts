import { readFile, stat } from 'node:fs/promises';
import { BackupError, toBackupError } from '../lib/errors.ts';
import { parseAgeIdentities } from '../lib/keys/age-identity.ts';
import { decodeKeyFile, type ExportedKey, isProtected } from '../lib/keys/key-file.ts';
import type { KeyRing } from '../lib/keys/keys.ts';
import { masterSecret } from '../lib/keys/master-secret.ts';
import { ringFrom } from '../lib/keys/ring.ts';
import { Vault } from '../lib/keys/vault.ts';
import { vaultPath } from '../nodes/config/master-secret.ts';
import { dataDirectory, type FlowOptions } from './flow-input.ts';
import { readSecretFile, secretFrom } from './secret-input.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where keys come from besides the vault and the environment. Always files: arguments can be seen by others. */
export interface KeyOptions extends FlowOptions {
  /** Flow file whose key nodes are asked as well. */
  readonly flow?: string;
  /** Key file of a recovery kit. */
  readonly keys?: string;
  /** File that holds a passphrase. */
  readonly passphraseFile?: string;
  /** File with age identities. */
  readonly identity?: string;
}

/**
 * Everything that may open files here. The vault is opened only when a file asks for one of its keys.
 * @throws BackupError for a key, passphrase or identity file that cannot be read or is none
 */
export async function keyRing(options: KeyOptions, env: Environment): Promise<KeyRing> {
  const passphrase = await secretFrom('DBACKUP_PASSPHRASE', options.passphraseFile, env);
  const keys = options.keys === undefined ? [] : await readKeyFile(options.keys, passphrase);
  const identities = options.identity === undefined ? [] : await readIdentities(options.identity);
  const passphrases = passphrase === undefined ? [] : [passphrase];
  const given = ringFrom({ keys, identities, passphrases });
  const rings = [given, ...(await ringsOfFlow(options, env))];
  const vault = lazyVault(vaultFile(options, env), env);
  return {
    passphrases: rings.flatMap((ring) => ring.passphrases),
    ageIdentities: rings.flatMap((ring) => ring.ageIdentities),
    async vaultKey(id, version) {
      for (const ring of rings) {
        const key = await ring.vaultKey(id, version);
        if (key !== undefined) return key;
      }
      return (await vault())?.key(id, version);
    },
  };
}

/** Loaded only for a flow: without one there is less to start. */
async function ringsOfFlow(options: KeyOptions, env: Environment): Promise<KeyRing[]> {
  if (options.flow === undefined) return [];
  const { flowKeyRings } = await import('./flow-keys.ts');
  return flowKeyRings(options.flow, options, env);
}

export function vaultFile(options: KeyOptions, env: Environment): string {
  return vaultPath(dataDirectory(options, env));
}

/** Opens the vault at the first use; undefined when there is none. Opening takes a third of a second. */
function lazyVault(file: string, env: Environment): () => Promise<Vault | undefined> {
  let opened: Promise<Vault | undefined> | undefined;
  return () => (opened ??= openVault(file, env));
}

async function openVault(file: string, env: Environment): Promise<Vault | undefined> {
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) return undefined;
  const secret = await masterSecret({ env });
  if (secret !== undefined) return Vault.open(file, secret);
  throw new BackupError(
    'missing-key',
    `The key may be in the vault ${file}, which is closed: set DBACKUP_MASTER_KEY or DBACKUP_MASTER_KEY_FILE, or give the keys of a recovery kit with --keys`,
  );
}

/** The secret that opens the vault. @throws BackupError `invalid-config` when none is given */
export async function requireMasterSecret(env: Environment): Promise<string> {
  const secret = await masterSecret({ env });
  if (secret !== undefined) return secret;
  throw new BackupError(
    'invalid-config',
    'The key vault needs its master secret: set DBACKUP_MASTER_KEY or DBACKUP_MASTER_KEY_FILE',
  );
}

async function readKeyFile(file: string, passphrase: string | undefined): Promise<ExportedKey[]> {
  const text = await readText(file, 'The key file');
  return decodeKeyFile(text, file, isProtected(text, file) ? passphrase : undefined);
}

/** The age identities in a file. @throws BackupError when it cannot be read or holds none */
export async function readIdentities(file: string): Promise<string[]> {
  try {
    return await parseAgeIdentities(await readSecretFile(file));
  } catch (thrown) {
    throw toBackupError(thrown, file);
  }
}

async function readText(file: string, what: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (thrown) {
    throw toBackupError(thrown, `${what} ${file} cannot be read`);
  }
}
