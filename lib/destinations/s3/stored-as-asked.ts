import { BackupError } from '../../errors.ts';
import { retentionOf, setLegalHold, setRetention } from './object-lock.ts';
import type { ObjectPlace } from './object-place.ts';
import { findObject } from './objects.ts';
import type { S3Store } from './store.ts';

/**
 * Looks whether an object that was just stored is encrypted and locked as the settings want it: there are servers
 * that drop what they do not know without a word, as Ceph 16 does with the lock of an upload in parts. A lock that
 * is missing is set now.
 * @throws BackupError `invalid-config` when it is not encrypted; `permission` and others when it cannot be locked
 */
export async function ensureStoredAsAsked(
  store: S3Store,
  place: ObjectPlace,
  signal: AbortSignal,
): Promise<void> {
  const { encryption, legalHold } = store.options;
  const retention = retentionOf(store);
  if (encryption === 'none' && retention === undefined && !legalHold) return;
  const found = await findObject(store, place.path, signal);
  if (found === undefined) {
    throw new BackupError('incomplete', `${place.name} was stored, but is not there`, { transient: true });
  }
  if (encryption !== 'none' && found.encryption !== encryption) {
    throw new BackupError(
      'invalid-config',
      `${store.server} stored ${place.name} without the server-side encryption ${encryption}: it does not offer that`,
    );
  }
  if (retention !== undefined && !found.isLocked) await setRetention(store, place, retention, signal);
  if (legalHold && !found.isHeld) await setLegalHold(store, place.path, true, signal);
}
