import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { BackupError } from '../../lib/errors.ts';
import { type RecoveryKitRequest, writeRecoveryKit } from '../../lib/keys/recovery-kit.ts';
import { Vault } from '../../lib/keys/vault.ts';
import type { CommandBody } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { printable } from '../format.ts';
import { type KeyOptions, readIdentities, requireMasterSecret, vaultFile } from '../key-options.ts';
import { secretFrom } from '../secret-input.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface KitInput extends Omit<KeyOptions, 'keys'> {
  readonly directory: string;
  /** Names of vault keys; all without it. */
  readonly key?: readonly string[];
  /** Write the keys without a passphrase. */
  readonly plain?: boolean;
  readonly json?: boolean;
}

/** Writes a recovery kit: what opens backups without this product. */
export const kit: CommandBody<KitInput> = async (input, { output, env }) => {
  const protection = await protectionOf(input, env);
  const made = await writeRecoveryKit({
    directory: resolve(input.directory),
    vault: await vaultOf(input, env),
    keys: input.key ?? 'all',
    identities: input.identity === undefined ? [] : await readIdentities(input.identity),
    protection,
  });
  if (input.json) {
    output.json(made);
    return EXIT.ok;
  }
  const names = [...new Set(made.keys.map(({ name }) => name))];
  output.print(printable(`Recovery kit in ${made.directory}: ${made.files.join(', ')}`));
  output.print(printable(`Vault keys in it: ${names.join(', ') || 'none'}`));
  output.note(
    protection.type === 'plain'
      ? 'Whoever has this folder can read the backups: keep it offline, apart from them'
      : 'Keep the kit and its passphrase apart, and lose neither',
  );
  return EXIT.ok;
};

async function protectionOf(input: KitInput, env: Environment): Promise<RecoveryKitRequest['protection']> {
  if (input.plain && input.passphraseFile !== undefined) {
    throw new BackupError('invalid-config', 'Either --plain or --passphrase-file, not both');
  }
  if (input.plain) return { type: 'plain' };
  const passphrase = await secretFrom('DBACKUP_PASSPHRASE', input.passphraseFile, env);
  if (passphrase !== undefined) return { type: 'passphrase', passphrase };
  throw new BackupError(
    'invalid-config',
    'A kit holds keys: give a passphrase that protects them (--passphrase-file, DBACKUP_PASSPHRASE or DBACKUP_PASSPHRASE_FILE), or say --plain',
  );
}

/** Backups that were encrypted with a passphrase or for age recipients need no vault. */
async function vaultOf(input: KitInput, env: Environment): Promise<Vault | undefined> {
  const file = vaultFile(input, env);
  const found = await stat(file).catch(() => undefined);
  if (found !== undefined) return Vault.open(file, await requireMasterSecret(env));
  if (input.key === undefined) return undefined;
  throw new BackupError('not-found', `There is no key vault ${file}: --data names its folder`);
}
