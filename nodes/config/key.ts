import { z } from 'zod';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { Vault } from '../../lib/keys/vault.ts';
import { defineNode, type NodeContext } from '../define-node.ts';
import { nodeName } from '../forms/common-fields.ts';
import { KEY, type KeyService, offer } from '../services.ts';
import { requireMasterSecret, vaultPath } from './master-secret.ts';
import { testKey } from './test-key.ts';

const vaultKey = z.object({
  name: nodeName,
  kind: z.literal('vault').meta({ icon: 'fa-key' }),
  keyName: z.string().default('main').meta({
    icon: 'fa-tag',
    placeholder: 'main',
    pattern: String.raw`^[\p{L}\p{N}][\p{L}\p{N} ._\-]{0,63}$`,
  }),
  masterSecret: z.string().min(12).optional().meta({ icon: 'fa-lock', secret: true }),
});

const passphrase = z.object({
  name: nodeName,
  kind: z.literal('passphrase'),
  passphrase: z.string().min(12).meta({ icon: 'fa-lock', secret: true }),
});

const age = z.object({
  name: nodeName,
  kind: z.literal('age'),
  recipients: z
    .array(z.string().regex(/^age1[0-9a-z]+$/))
    .min(1)
    .meta({ icon: 'fa-users', placeholder: 'age1…' }),
  identity: z
    .string()
    .regex(/^(AGE-SECRET-KEY-|AGE-PLUGIN-)/)
    .optional()
    .meta({ icon: 'fa-user-secret', secret: true }),
});

const schema = z.discriminatedUnion('kind', [vaultKey, passphrase, age]);

export type KeySettings = z.output<typeof schema>;

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
  schema,
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

function vaultService(file: () => string, settings: z.output<typeof vaultKey>): KeyService {
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
