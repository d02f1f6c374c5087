import { BackupError } from '../../errors.ts';

export type S3Library = typeof import('@aws-sdk/client-s3');

/**
 * The package that speaks S3, loaded when it is needed first.
 * @throws BackupError `unavailable` when it is not installed
 */
export async function loadS3(): Promise<S3Library> {
  try {
    return await import('@aws-sdk/client-s3');
  } catch (cause) {
    throw new BackupError(
      'unavailable',
      'S3 storage needs the package @aws-sdk/client-s3: install it with npm install @aws-sdk/client-s3',
      { cause },
    );
  }
}
