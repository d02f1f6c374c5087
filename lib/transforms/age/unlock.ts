import { Decrypter } from 'age-encryption';
import { BackupError } from '../../errors.ts';
import type { KeyRing } from '../../keys/keys.ts';
import { UnmatchedStanzas } from './header.ts';
import { PassphraseIdentity } from './scrypt.ts';

/**
 * The file key of an age file, from its whole header.
 * @throws BackupError `missing-key` when no key of a fitting kind is in the ring, `wrong-key` when none of
 *   them opens it, `corrupt` when the header is damaged, `invalid-config` for a malformed identity
 */
export async function unlockFileKey(header: Buffer, keys: KeyRing): Promise<Buffer> {
  const decrypter = new Decrypter();
  for (const identity of keys.ageIdentities) addIdentity(decrypter, identity);
  for (const passphrase of keys.passphrases) decrypter.addIdentity(new PassphraseIdentity(passphrase));
  const unmatched = new UnmatchedStanzas();
  decrypter.addIdentity(unmatched);
  try {
    return Buffer.from(await decrypter.decryptHeader(header));
  } catch (error) {
    if (error instanceof BackupError) throw error;
    if (unmatched.types !== undefined) throw noneMatched(unmatched.types, keys);
    throw new BackupError('corrupt', 'The header of the age file is damaged', { cause: error });
  }
}

/** The library's own error is not passed on: it quotes the identity. */
function addIdentity(decrypter: Decrypter, identity: string): void {
  try {
    decrypter.addIdentity(identity);
  } catch {
    throw new BackupError(
      'invalid-config',
      'An age identity is malformed: it must be a line AGE-SECRET-KEY-1… or AGE-SECRET-KEY-PQ-1… as age-keygen writes it',
    );
  }
}

function noneMatched(stanzaTypes: readonly string[], keys: KeyRing): BackupError {
  if (stanzaTypes.includes('scrypt')) {
    return keys.passphrases.length === 0
      ? new BackupError('missing-key', 'The age file opens with a passphrase, and none was given')
      : new BackupError('wrong-key', 'None of the passphrases given here opens the age file');
  }
  return keys.ageIdentities.length === 0
    ? new BackupError('missing-key', 'The age file opens with an age identity, and none was given')
    : new BackupError(
        'wrong-key',
        'None of the age identities given here opens the file: it was encrypted for other recipients',
      );
}
