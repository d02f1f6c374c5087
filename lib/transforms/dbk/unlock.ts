import { orAbort } from '../../abort.ts';
import { BackupError, throwIfAborted } from '../../errors.ts';
import type { KeyRing } from '../../keys/keys.ts';
import { deriveFromPassphrase } from '../../keys/scrypt.ts';
import type { ParsedHeader } from './header.ts';
import { type KeySlot, openSlot } from './slots.ts';

type PassphraseSlot = Extract<KeySlot, { type: 'passphrase' }>;
type Attempt = Buffer | 'wrong' | 'missing';

/**
 * Finds the data key: tries every slot with the keys of the ring.
 * @throws BackupError `wrong-key` when a key was tried and none fitted, `missing-key` (naming the keys that
 *   would open the file) when none could be tried
 */
export async function unlockDataKey(
  header: ParsedHeader,
  keys: KeyRing,
  signal: AbortSignal,
): Promise<Buffer> {
  const tried: KeySlot[] = [];
  for (const slot of header.keySlots) {
    throwIfAborted(signal);
    const attempt = await orAbort(trySlot(slot, header.salt, keys, signal), signal);
    if (Buffer.isBuffer(attempt)) return attempt;
    if (attempt === 'wrong') tried.push(slot);
  }
  if (tried.length > 0) {
    throw new BackupError('wrong-key', `The file does not open: ${tried.map(wrongKeyText).join('; ')}`);
  }
  const wanted = header.keySlots.map(ownerName).join(' or ');
  if (wanted === '') {
    throw new BackupError('missing-key', 'The .dbk file has only key slots of a newer DBackup: update it');
  }
  throw new BackupError(
    'missing-key',
    `The file opens with ${wanted}, which is not known here: give the vault, the key file of the recovery kit or the passphrase`,
  );
}

async function trySlot(slot: KeySlot, salt: Buffer, keys: KeyRing, signal: AbortSignal): Promise<Attempt> {
  if (slot.type === 'vault') {
    const key = await keys.vaultKey(slot.id, slot.version);
    return key === undefined ? 'missing' : (openSlot(slot, key, salt) ?? 'wrong');
  }
  for (const passphrase of keys.passphrases) {
    throwIfAborted(signal);
    const dataKey = openSlot(slot, await derivedOnce(keys, passphrase, slot), salt);
    if (dataKey !== undefined) return dataKey;
  }
  return keys.passphrases.length === 0 ? 'missing' : 'wrong';
}

/** Derivations that a ring has seen lately: the files of one run share their scrypt salt. */
const derivations = new WeakMap<KeyRing, Map<string, Promise<Buffer>>>();
const REMEMBERED = 16;

function derivedOnce(keys: KeyRing, passphrase: string, slot: PassphraseSlot): Promise<Buffer> {
  const known = derivations.get(keys) ?? new Map<string, Promise<Buffer>>();
  derivations.set(keys, known);
  const id = JSON.stringify([slot.salt.toString('hex'), slot.scrypt, passphrase]);
  const derived = known.get(id) ?? deriveFromPassphrase(passphrase, slot.salt, slot.scrypt);
  const [oldest] = known.keys();
  if (oldest !== undefined && known.size >= REMEMBERED) known.delete(oldest);
  known.set(id, derived);
  derived.catch(() => known.delete(id));
  return derived;
}

function ownerName(slot: KeySlot): string {
  return slot.type === 'vault' ? `vault key ${slot.id} version ${slot.version}` : 'a passphrase';
}

function wrongKeyText(slot: KeySlot): string {
  return slot.type === 'vault'
    ? `${ownerName(slot)} as known here is not the one it was encrypted with`
    : 'none of the passphrases given here is the right one';
}
