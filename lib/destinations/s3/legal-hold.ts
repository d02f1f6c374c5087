import { throwIfAborted } from '../../errors.ts';
import { placeOf } from './object-place.ts';
import type { S3Store } from './store.ts';

/**
 * Sets or lifts the legal hold of an object: while it is set, nobody can delete the object for good.
 * @throws BackupError `invalid-config` when the bucket was created without object lock
 */
export async function setLegalHold(
  store: S3Store,
  path: string,
  held: boolean,
  signal: AbortSignal,
): Promise<void> {
  throwIfAborted(signal);
  const { request, name } = placeOf(store, path);
  await store.call(
    async ({ client, library, signal: abortSignal }) => {
      const LegalHold = { Status: held ? 'ON' : 'OFF' } as const;
      await client.send(new library.PutObjectLegalHoldCommand({ ...request, LegalHold }), {
        abortSignal,
      });
    },
    {
      signal,
      doing: `${held ? 'set' : 'lift'} the legal hold of ${name}`,
      permission: 's3:PutObjectLegalHold',
    },
  );
}
