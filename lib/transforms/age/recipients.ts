import { Encrypter } from 'age-encryption';
import { BackupError } from '../../errors.ts';

/**
 * Checks age recipients and drops blanks around them and duplicates. Accepted is what the library can
 * encrypt for: `age1…` (X25519), `age1pq1…` (post-quantum), `age1tag1…` and `age1tagpq1…` (hardware keys).
 * @throws BackupError `invalid-config` naming the recipient; a secret that stands in its place is not named
 */
export function checkRecipients(recipients: readonly string[]): readonly string[] {
  const checked = [...new Set(recipients.map((recipient) => recipient.trim()))];
  if (checked.length === 0) {
    throw new BackupError('invalid-config', 'No age recipient is given: add at least one public key (age1…)');
  }
  for (const recipient of checked) {
    const problem = problemOf(recipient);
    if (problem !== undefined) throw new BackupError('invalid-config', problem);
  }
  return checked;
}

function problemOf(recipient: string): string | undefined {
  if (recipient.toUpperCase().startsWith('AGE-SECRET-KEY-')) {
    return 'An age identity (secret key) stands where a recipient belongs: give its public key (age1…), which age-keygen -y prints';
  }
  if (recipient.startsWith('ssh-')) {
    return 'SSH keys are not supported as age recipients: make an age key with age-keygen and give its public key (age1…)';
  }
  if (!recipient.startsWith('age1')) {
    return 'An age recipient does not start with age1: give the public key that age-keygen printed';
  }
  try {
    new Encrypter().addRecipient(recipient);
    return undefined;
  } catch {
    return `The age recipient '${recipient.slice(0, 70)}' is malformed: copy it again from where it was made`;
  }
}
