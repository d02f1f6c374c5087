import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { Vault } from '../../lib/keys/vault.ts';
import { defineNode, type NodeContext } from '../define-node.ts';
import { KEY, type KeyService, offer } from '../services.ts';
import { type KeySettings, keySettings, type VaultKeySettings } from './key-settings.ts';
import { requireMasterSecret, vaultPath } from './master-secret.ts';
import { testKey } from './test-key.ts';

/** A key for encrypting and opening backups. */
export const keyNode = defineNode({
  type: 'dbackup-key',
  set: 'config',
  role: 'config',
  icon: 'dbackup-key.svg',
  labelFrom: ['keyName'],
  inputs: 0,
  outputs: 0,
  schemaVersion: 1,
  actions: [
    {
      name: 'test',
      route: 'keys/test',
      icon: 'fa-check',
      run: (settings: KeySettings, { dataDir }) => testKey(settings, vaultPath(dataDir)),
    },
  ],
  schema: keySettings,
  setup: (context) => ({ offers: [offer(KEY, keyService(context))] }),
});

function keyService(context: NodeContext<KeySettings>): KeyService {
  const { settings } = context;
  switch (settings.kind) {
    case 'vault':
      return vaultService(() => vaultPath(context.runtime.dataDir), settings);
    case 'passphrase':
      return {
        encryptionKey: async () => ({ type: 'passphrase', passphrase: settings.passphrase }),
        keyRing: async () => ({ ...EMPTY_KEY_RING, passphrases: [settings.passphrase] }),
      };
    case 'age':
      return {
        encryptionKey: async () => ({ type: 'age', recipients: settings.recipients }),
        keyRing: async () => ({
          ...EMPTY_KEY_RING,
          ageIdentities: settings.identity === undefined ? [] : [settings.identity],
        }),
      };
  }
}

function vaultService(file: () => string, settings: VaultKeySettings): KeyService {
  let opened: Promise<Vault> | undefined;
  const vault = (open: (file: string, secret: string) => Promise<Vault>): Promise<Vault> => {
    // Deriving the master key takes a third of a second: once for each node. A failure is tried again.
    opened ??= requireMasterSecret(settings.masterSecret).then((secret) => open(file(), secret));
    opened.catch(() => (opened = undefined));
    return opened;
  };
  return {
    encryptionKey: async () => (await vault(Vault.openOrCreate)).ensureKey(settings.keyName),
    async keyRing() {
      const known = await vault(Vault.open);
      return { ...EMPTY_KEY_RING, vaultKey: (id, version) => known.key(id, version) };
    },
  };
}
