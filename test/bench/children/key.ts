import { EMPTY_KEY_RING, type EncryptionKey, type KeyRing } from '../../../lib/keys/keys.ts';

const KEY = Buffer.alloc(32, 7);

export const ENCRYPTION_KEY: EncryptionKey = { type: 'vault', id: 'bench', version: 1, key: KEY };
export const KEY_RING: KeyRing = { ...EMPTY_KEY_RING, vaultKey: async () => KEY };
