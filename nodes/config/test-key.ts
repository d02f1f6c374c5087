import { access } from 'node:fs/promises';
import { Vault } from '../../lib/keys/vault.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import type { ActionAnswer } from '../form-actions.ts';
import type { KeySettings } from './key-settings.ts';
import { requireMasterSecret } from './master-secret.ts';

/** Tells whether this key could encrypt now. Makes nothing: a key of the vault is made at its first use. */
export async function testKey(settings: KeySettings, vaultFile: string): Promise<ActionAnswer> {
  switch (settings.kind) {
    case 'vault':
      return testVaultKey(settings.keyName, await requireMasterSecret(settings.masterSecret), vaultFile);
    case 'passphrase':
      createEncrypt({ type: 'passphrase', passphrase: settings.passphrase }, { format: 'dbk' });
      return { level: 'ok', text: 'test.passphrase' };
    case 'age':
      createEncrypt({ type: 'age', recipients: settings.recipients }, { format: 'age' });
      return {
        level: settings.identity === undefined ? 'warning' : 'ok',
        text: settings.identity === undefined ? 'test.ageWithoutIdentity' : 'test.age',
        values: { count: settings.recipients.length },
      };
  }
}

async function testVaultKey(name: string, secret: string, vaultFile: string): Promise<ActionAnswer> {
  if (!(await exists(vaultFile))) return { level: 'ok', text: 'test.newVault', values: { file: vaultFile } };
  const vault = await Vault.open(vaultFile, secret);
  const found = (await vault.listKeys()).find((key) => key.name === name);
  if (found === undefined) return { level: 'ok', text: 'test.newKey', values: { name } };
  const version = found.versions.at(-1)?.version ?? 1;
  return { level: 'ok', text: 'test.vaultKey', values: { name, version } };
}

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
