import { BackupError } from '../../errors.ts';
import type { S3Store } from './store.ts';

/** An object, as requests and messages name it. */
export interface ObjectPlace {
  readonly path: string;
  readonly name: string;
  readonly request: { readonly Bucket: string; readonly Key: string };
}

/** @throws BackupError `invalid-config` for a path that no object can have */
export function placeOf(store: S3Store, path: string): ObjectPlace {
  const Key = store.keys.keyOf(path);
  return { path, name: store.nameOf(path), request: { Bucket: store.bucket, Key } };
}

/**
 * What every S3 server answers, where something else might answer too: a proxy that wants a sign-in says 200 to
 * everything.
 * @throws BackupError `unavailable` when it is not there
 */
export function answered<T>(store: S3Store, value: T | undefined): T {
  if (value !== undefined && value !== '') return value;
  throw new BackupError(
    'unavailable',
    `${store.server} does not answer as S3 does: is the endpoint right, and is there a proxy on the way?`,
  );
}
