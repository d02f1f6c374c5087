import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeKeyFile } from '../../lib/keys/key-file.ts';
import type { KeyRing } from '../../lib/keys/keys.ts';
import { DECRYPTOR, DECRYPTOR_FILE, KEY_FILE } from '../../lib/keys/recovery-kit.ts';
import { decrypt, encryptUndoCommand } from '../../lib/transforms/decrypt.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import { encryptRecord } from '../../lib/transforms/records.ts';
import {
  AGE_IDENTITY,
  AGE_KEY,
  AGE_RING,
  PASSPHRASE_KEY,
  PASSPHRASE_RING,
  VAULT_KEY,
  VAULT_RING,
} from '../support/keys.ts';
import { type TransformUnderTest, transformConformance } from './transform.suite.ts';

function invertWith(keys: KeyRing): TransformUnderTest['invert'] {
  return (record, input, signal) => decrypt(encryptRecord.parse(record), input, { keys, signal });
}

transformConformance({
  name: 'encrypt as .dbk with a vault key',
  create: () => createEncrypt(VAULT_KEY, { format: 'dbk' }),
  invert: invertWith(VAULT_RING),
  damage: 'never-released',
  async undo(record, folder) {
    await copyFile(DECRYPTOR, join(folder, DECRYPTOR_FILE));
    const keys = [{ ...VAULT_KEY, name: 'main' }];
    await writeFile(join(folder, KEY_FILE), await encodeKeyFile(keys, undefined));
    return encryptUndoCommand(encryptRecord.parse(record));
  },
});

const withPassphrase = createEncrypt(PASSPHRASE_KEY, { format: 'dbk' });

transformConformance({
  name: 'encrypt as .dbk with a passphrase',
  // One for all cases: deriving its key takes a third of a second.
  create: () => withPassphrase,
  invert: invertWith(PASSPHRASE_RING),
  damage: 'never-released',
});

transformConformance({
  name: 'encrypt as .age for a recipient',
  create: () => createEncrypt(AGE_KEY, { format: 'age' }),
  invert: invertWith(AGE_RING),
  damage: 'never-released',
  // A changed stanza is one for somebody else.
  damageCodes: ['wrong-key'],
  async undo(record, folder) {
    await writeFile(join(folder, 'age-identities.txt'), `${AGE_IDENTITY}\n`);
    return encryptUndoCommand(encryptRecord.parse(record));
  },
});
