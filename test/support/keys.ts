import { EMPTY_KEY_RING, type EncryptionKey, type KeyRing } from '../../lib/keys/keys.ts';

/** A fixed vault key, and a ring that holds it. */
export const VAULT_KEY: Extract<EncryptionKey, { type: 'vault' }> = {
  type: 'vault',
  id: 'vk-0123456789abcdef',
  version: 2,
  key: Buffer.from(Array.from({ length: 32 }, (_, at) => 7 * at)),
};

export const VAULT_RING: KeyRing = {
  ...EMPTY_KEY_RING,
  vaultKey: async (id, version) =>
    id === VAULT_KEY.id && version === VAULT_KEY.version ? VAULT_KEY.key : undefined,
};

/** An age key pair for tests only. */
export const AGE_IDENTITY = 'AGE-SECRET-KEY-190VZPLCL74LQR5J422QJHGVF7EN6MF9E8YJY8NMJJML8NH0YCQ7QK6HU79';
export const AGE_RECIPIENT = 'age1c2k87gqspxlal5jk9gnvdt4hue4rmu0cq4h0sspnm5c2q8zhf3pq6wcqql';

export const AGE_KEY: EncryptionKey = { type: 'age', recipients: [AGE_RECIPIENT] };
export const AGE_RING: KeyRing = { ...EMPTY_KEY_RING, ageIdentities: [AGE_IDENTITY] };

export const PASSPHRASE = 'correct horse battery staple';
export const PASSPHRASE_KEY: EncryptionKey = { type: 'passphrase', passphrase: PASSPHRASE };
export const PASSPHRASE_RING: KeyRing = { ...EMPTY_KEY_RING, passphrases: [PASSPHRASE] };
