import { BackupError, throwIfAborted } from '../../errors.ts';
import type { ObjectInfo } from '../driver.ts';
import { isS3Code, statusOf } from './failures.ts';
import { answered, placeOf } from './object-place.ts';
import type { S3Store } from './store.ts';

/** What one request tells of an object, and what the port's `stat` leaves out. */
export interface FoundObject {
  readonly info: ObjectInfo;
  readonly metadata: Readonly<Record<string, string>>;
  /** How the server encrypts it. */
  readonly encryption: string | undefined;
  readonly isLocked: boolean;
  readonly isHeld: boolean;
  readonly lockedUntil: Date | undefined;
}

/** Looks an object up. */
export async function findObject(
  store: S3Store,
  path: string,
  signal: AbortSignal,
): Promise<FoundObject | undefined> {
  throwIfAborted(signal);
  const { request, name } = placeOf(store, path);
  try {
    return await store.call(
      async ({ client, library, signal: abortSignal }) => {
        const found = await client.send(new library.HeadObjectCommand(request), { abortSignal });
        const modified = answered(store, found.LastModified);
        const info = { path, bytes: answered(store, found.ContentLength), modified };
        return {
          info,
          metadata: found.Metadata ?? {},
          encryption: found.ServerSideEncryption,
          isLocked: found.ObjectLockMode !== undefined,
          isHeld: found.ObjectLockLegalHoldStatus === 'ON',
          lockedUntil: found.ObjectLockRetainUntilDate,
        };
      },
      { signal, doing: `look up ${name}`, permission: 's3:GetObject and s3:ListBucket' },
    );
  } catch (error) {
    if (await isListed(store, path, error, signal)) throw error;
    return undefined;
  }
}

/**
 * Clears up why a look at an object failed, since answers to HEAD have no text: asks for a listing, which has.
 * A key whose permission to list is bound to a folder is told 403 of what is not there.
 * @returns whether the object is there
 * @throws BackupError what is wrong with the keys, the region or the bucket
 */
async function isListed(
  store: S3Store,
  path: string,
  failure: unknown,
  signal: AbortSignal,
): Promise<boolean> {
  const status = statusOf(failure);
  if (status === undefined || status >= 500) throw failure;
  if (status === 404 && store.hasSeenBucket) return false;
  const { request, name } = placeOf(store, path);
  const { Contents = [] } = await store.call(
    async ({ client, library, signal: abortSignal }) => {
      const command = new library.ListObjectsV2Command({
        Bucket: request.Bucket,
        Prefix: request.Key,
        MaxKeys: 1,
      });
      return await client.send(command, { abortSignal });
    },
    { signal, doing: `look up ${name}`, permission: 's3:ListBucket' },
  );
  return Contents.some(({ Key }) => Key === request.Key);
}

/** See the port's `stat`. */
export async function statObject(
  store: S3Store,
  path: string,
  signal: AbortSignal,
): Promise<ObjectInfo | undefined> {
  return (await findObject(store, path, signal))?.info;
}

/** See the port's `remove`. In a bucket with versions the last one stays, hidden by a mark. */
export async function removeObject(store: S3Store, path: string, signal: AbortSignal): Promise<void> {
  throwIfAborted(signal);
  const { request, name } = placeOf(store, path);
  try {
    await store.call(
      async ({ client, library, signal: abortSignal }) =>
        await client.send(new library.DeleteObjectCommand(request), { abortSignal }),
      { signal, doing: `remove ${name}`, permission: 's3:DeleteObject' },
    );
  } catch (error) {
    // Some servers say that it is gone already; the missing bucket has a name of its own.
    if (!isS3Code(error, 'NoSuchKey')) throw error;
  }
}

/** See the port's `list`: all pages. What is none of ours is left out. */
export async function* listObjects(
  store: S3Store,
  prefix: string,
  signal: AbortSignal,
): AsyncGenerator<ObjectInfo, void> {
  throwIfAborted(signal);
  const Prefix = store.keys.folderKey(prefix);
  let token: string | undefined;
  do {
    const page = await store.call(
      async ({ client, library, signal: abortSignal }) => {
        const command = new library.ListObjectsV2Command({
          Bucket: store.bucket,
          Prefix,
          ...(token === undefined ? {} : { ContinuationToken: token }),
        });
        const answer = await client.send(command, { abortSignal });
        answered(store, answer.IsTruncated);
        return answer;
      },
      { signal, doing: `list ${store.nameOf(prefix)}`, permission: 's3:ListBucket' },
    );
    for (const { Key, Size, LastModified } of page.Contents ?? []) {
      const path = Key === undefined ? undefined : store.keys.pathOf(Key);
      if (path !== undefined) yield { path, bytes: Size ?? 0, modified: LastModified ?? new Date(0) };
      throwIfAborted(signal);
    }
    const next = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    if (page.IsTruncated === true && (next === undefined || next === token)) {
      throw new BackupError('incomplete', `${store.server} listed only a part of ${store.nameOf(prefix)}`);
    }
    token = next;
  } while (token !== undefined);
}
