import type { PutObjectCommandInput } from '@aws-sdk/client-s3';
import type { S3Store } from './store.ts';

/** Smaller objects stay in the standard class: the others bill them as that large, and listings read them. */
const CLASS_FROM_BYTES = 128 * 1024;
const DAY_MS = 86_400_000;
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
export function objectFields(
  { options, clockOffset, lockMs }: S3Store,
  bytes: number,
  writer: string,
): ObjectFields {
  const { storageClass, encryption, kmsKeyId, lockMode, lockDays, legalHold } = options;
  const now = Date.now() + clockOffset;
  return {
    Metadata: { [WRITER]: writer },
    // Servers name classes of their own, too.
    ...(storageClass !== '' && bytes >= CLASS_FROM_BYTES
      ? { StorageClass: storageClass as NonNullable<ObjectFields['StorageClass']> }
      : {}),
    ...(encryption === 'none' ? {} : { ServerSideEncryption: encryption }),
    ...(kmsKeyId === '' ? {} : { SSEKMSKeyId: kmsKeyId }),
    ...(lockMode === 'none'
      ? {}
      : {
          ObjectLockMode: lockMode === 'compliance' ? 'COMPLIANCE' : 'GOVERNANCE',
          ObjectLockRetainUntilDate: new Date(now + (lockMs ?? lockDays * DAY_MS)),
        }),
    ...(legalHold ? { ObjectLockLegalHoldStatus: 'ON' } : {}),
  };
}

/** Whether an object was stored by the writing of that id. */
export function isWrittenBy(metadata: Readonly<Record<string, string>>, writer: string): boolean {
  return metadata[WRITER] === writer;
}
