import type { PutObjectCommandInput } from '@aws-sdk/client-s3';
import { retentionOf } from './object-lock.ts';
import type { S3Store } from './store.ts';

/** Smaller objects stay in the standard class: the others bill them as that large, and listings read them. */
const CLASS_FROM_BYTES = 128 * 1024;
/** The metadata by which a writer knows its own object again. */
const WRITER = 'dbackup-write';

/** What an object is stored with, as fields of PutObject and CreateMultipartUpload. */
export type ObjectFields = Pick<
  PutObjectCommandInput,
  | 'StorageClass'
  | 'ServerSideEncryption'
  | 'SSEKMSKeyId'
  | 'ObjectLockMode'
  | 'ObjectLockRetainUntilDate'
  | 'ObjectLockLegalHoldStatus'
  | 'Metadata'
>;

/** @param writer an id that only this writing of the object has */
export function objectFields(store: S3Store, bytes: number, writer: string): ObjectFields {
  const { storageClass, encryption, kmsKeyId, legalHold } = store.options;
  const retention = retentionOf(store);
  return {
    Metadata: { [WRITER]: writer },
    // Servers name classes of their own, too.
    ...(storageClass !== '' && bytes >= CLASS_FROM_BYTES
      ? { StorageClass: storageClass as NonNullable<ObjectFields['StorageClass']> }
      : {}),
    ...(encryption === 'none' ? {} : { ServerSideEncryption: encryption }),
    ...(kmsKeyId === '' ? {} : { SSEKMSKeyId: kmsKeyId }),
    ...(retention === undefined
      ? {}
      : { ObjectLockMode: retention.Mode, ObjectLockRetainUntilDate: retention.RetainUntilDate }),
    ...(legalHold ? { ObjectLockLegalHoldStatus: 'ON' } : {}),
  };
}

/** Whether an object was stored by the writing of that id. */
export function isWrittenBy(metadata: Readonly<Record<string, string>>, writer: string): boolean {
  return metadata[WRITER] === writer;
}
