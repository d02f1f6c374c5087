import { BackupError } from '../../errors.ts';
import type { DestinationDriver } from '../driver.ts';
import { decodedPath, environmentSecret } from '../url-settings.ts';
import type { S3OptionsInput } from './options.ts';
import { createS3Destination } from './s3.ts';

/** Settings that a URL may hold, by their names in the options. */
const SETTINGS = ['provider', 'endpoint', 'region', 'accountId', 'addressing', 'caFile'] as const;

/**
 * `s3://bucket/folder` on AWS; `s3://bucket/folder?endpoint=https://minio.example.com:9000` elsewhere, also with
 * `provider`, `region`, `accountId`, `addressing` and `caFile`. Keys come from AWS_ACCESS_KEY_ID,
 * AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, or the files that the same names with `_FILE` name, else from where
 * programs for AWS find them.
 * @throws BackupError `invalid-config`
 */
export function openS3(url: URL): DestinationDriver {
  if (url.username !== '' || url.password !== '') {
    throw new BackupError(
      'invalid-config',
      'The s3 URL holds keys: remove them there, and set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment instead',
    );
  }
  const settings = settingsOf(url);
  return createS3Destination({
    ...(settings.endpoint === undefined ? {} : { provider: 'other' }),
    ...settings,
    bucket: url.hostname,
    prefix: decodedPath(url),
    ...key('accessKeyId', 'AWS_ACCESS_KEY_ID'),
    ...key('secretAccessKey', 'AWS_SECRET_ACCESS_KEY'),
    ...key('sessionToken', 'AWS_SESSION_TOKEN'),
  });
}

/** A wrong name is not repeated: its value might be a key. */
function settingsOf(url: URL): Partial<Record<(typeof SETTINGS)[number], string>> & Partial<S3OptionsInput> {
  const settings: Record<string, string> = {};
  for (const [name, value] of url.searchParams) {
    if (!SETTINGS.some((known) => known === name)) {
      throw new BackupError(
        'invalid-config',
        `The s3 URL holds a setting that does not belong there: it may hold ${SETTINGS.join(', ')}; keys come from the environment`,
      );
    }
    settings[name] = value;
  }
  if (url.hash !== '')
    throw new BackupError('invalid-config', 'The s3 URL holds #: write it as %23 in a path');
  return settings;
}

function key(field: 'accessKeyId' | 'secretAccessKey' | 'sessionToken', variable: string) {
  const value = environmentSecret(variable);
  return value === undefined ? {} : { [field]: value };
}
