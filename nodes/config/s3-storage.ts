import { createS3Destination } from '../../lib/destinations/s3/s3.ts';
import { s3Settings } from './s3-settings.ts';
import { storageNode } from './storage-node.ts';

/** A bucket, or a folder in it, on Amazon S3 or a compatible server. */
export const s3StorageNode = storageNode({
  kind: 's3',
  labelFrom: ['bucket'],
  schema: s3Settings,
  open: (settings) => createS3Destination(settings),
});
