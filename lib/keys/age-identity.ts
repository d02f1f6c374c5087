import { generateIdentity, identityToRecipient } from 'age-encryption';
import { BackupError } from '../errors.ts';

export interface AgeIdentity {
  /** Secret: `AGE-SECRET-KEY-1…`; opens files. */
  readonly identity: string;
  /** Public: `age1…`; encrypts files. */
  readonly recipient: string;
}

/** A new age key pair (X25519), as `age-keygen` makes it. */
export async function generateAgeIdentity(): Promise<AgeIdentity> {
  const identity = await generateIdentity();
  return { identity, recipient: await identityToRecipient(identity) };
}

/**
 * The public recipient of an identity.
 * @throws BackupError `invalid-config` when it is malformed
 */
export async function recipientOf(identity: string): Promise<string> {
  try {
    return await identityToRecipient(identity);
  } catch {
    // The library's own error quotes the identity.
    throw malformed();
  }
}

/**
 * The identities in the text of an identity file: one a line, blank lines and `#` comments skipped.
 * @throws BackupError `invalid-config` when a line is none, or there is none at all
 */
export async function parseAgeIdentities(text: string): Promise<string[]> {
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  const identities = lines.filter((line) => line !== '' && !line.startsWith('#'));
  if (identities.length === 0) throw new BackupError('invalid-config', 'The text holds no age identity');
  for (const identity of identities) await recipientOf(identity);
  return identities;
}

function malformed(): BackupError {
  return new BackupError(
    'invalid-config',
    'An age identity is malformed: it must be a line AGE-SECRET-KEY-1… or AGE-SECRET-KEY-PQ-1… as age-keygen writes it',
  );
}
