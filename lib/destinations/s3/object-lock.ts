import { throwIfAborted } from '../../errors.ts';
import type { ObjectLock } from '../driver.ts';
import { type ObjectPlace, placeOf } from './object-place.ts';
import { findObject } from './objects.ts';
import type { S3Store } from './store.ts';

const DAY_MS = 86_400_000;

/** How long an object that is written now is locked, by the clock of the server. */
export interface Retention {
  readonly Mode: 'COMPLIANCE' | 'GOVERNANCE';
  readonly RetainUntilDate: Date;
}

/** Undefined when objects are not to be locked. */
export function retentionOf({ options, clockOffset, lockMs }: S3Store): Retention | undefined {
  const { lockMode, lockDays } = options;
  if (lockMode === 'none') return undefined;
  const forMs = lockMs ?? lockDays * DAY_MS;
  return {
    Mode: lockMode === 'compliance' ? 'COMPLIANCE' : 'GOVERNANCE',
    RetainUntilDate: new Date(Date.now() + clockOffset + forMs),
  };
}

/** Locks an object that is there already. */
export async function setRetention(
  store: S3Store,
  { request, name }: ObjectPlace,
  Retention: Retention,
  signal: AbortSignal,
): Promise<void> {
  await store.call(
    async ({ client, library, signal: abortSignal }) => {
      await client.send(new library.PutObjectRetentionCommand({ ...request, Retention }), { abortSignal });
    },
    { signal, doing: `lock ${name}`, permission: 's3:PutObjectRetention' },
  );
}

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
      await client.send(new library.PutObjectLegalHoldCommand({ ...request, LegalHold }), { abortSignal });
    },
    {
      signal,
      doing: `${held ? 'set' : 'lift'} the legal hold of ${name}`,
      permission: 's3:PutObjectLegalHold',
    },
  );
}

/** See the port's `lockOf`. A lock is over by the clock of the server. */
export async function findLock(
  store: S3Store,
  path: string,
  signal: AbortSignal,
): Promise<ObjectLock | undefined> {
  const found = await findObject(store, path, signal);
  if (found?.isHeld === true) return {};
  const until = found?.lockedUntil;
  const isOver = until === undefined || until.getTime() <= Date.now() + store.clockOffset;
  return isOver ? undefined : { until };
}
