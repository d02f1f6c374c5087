import { BackupError } from '../../errors.ts';
import type { S3_PROVIDERS, S3Options } from './options.ts';

type Provider = (typeof S3_PROVIDERS)[number];

/** How a provider is reached, and how it differs from the others. */
export interface S3Preset {
  readonly title: string;
  /** Address with `{region}` and `{accountId}`; absent where every installation has its own. */
  readonly endpoint?: string;
  /** The region when none is given; absent where one must be given. */
  readonly region?: string;
  /** Regions to choose from, where they are few. */
  readonly regions?: readonly string[];
  readonly pathStyle: boolean;
  /** Whether the server checks `x-amz-checksum-crc32`; `Content-MD5` is checked everywhere. */
  readonly crc32: boolean;
  /** Whether it refuses to overwrite when asked with `If-None-Match: *`. `some`: not in every version. */
  readonly conditional: 'all' | 'some' | 'none';
  /** All parts of an upload but the last must have the same size. */
  readonly equalParts: boolean;
  readonly objectLock: boolean;
  readonly encryption: readonly S3Options['encryption'][];
}

const COMPATIBLE = {
  pathStyle: true,
  crc32: false,
  conditional: 'some',
  equalParts: false,
  objectLock: true,
  encryption: ['none', 'AES256', 'aws:kms'],
} as const;

/** From the documentation of the providers; see docs/s3.md. */
export const S3_PRESETS: Readonly<Record<Provider, S3Preset>> = {
  aws: { ...COMPATIBLE, title: 'Amazon S3', pathStyle: false, crc32: true, conditional: 'all' },
  r2: {
    ...COMPATIBLE,
    title: 'Cloudflare R2',
    endpoint: 'https://{accountId}.r2.cloudflarestorage.com',
    region: 'auto',
    equalParts: true,
    objectLock: false,
    encryption: ['none'],
  },
  hetzner: {
    ...COMPATIBLE,
    title: 'Hetzner Object Storage',
    endpoint: 'https://{region}.your-objectstorage.com',
    regions: ['fsn1', 'nbg1', 'hel1'],
    pathStyle: false,
    encryption: ['none'],
  },
  backblaze: {
    ...COMPATIBLE,
    title: 'Backblaze B2',
    endpoint: 'https://s3.{region}.backblazeb2.com',
    pathStyle: false,
    conditional: 'none',
    encryption: ['none', 'AES256'],
  },
  minio: { ...COMPATIBLE, title: 'MinIO', region: 'us-east-1' },
  ceph: { ...COMPATIBLE, title: 'Ceph Object Gateway', region: 'us-east-1' },
  other: { ...COMPATIBLE, title: 'S3-compatible server', region: 'us-east-1' },
};

/** What follows from the settings and the provider. */
export interface S3Target {
  readonly preset: S3Preset;
  /** Absent: the SDK knows the address of AWS. Never ends with a slash. */
  readonly endpoint?: string;
  /** Absent: the SDK looks for it in the environment and the configuration files of AWS. */
  readonly region?: string;
  readonly pathStyle: boolean;
  readonly checksum: 'crc32' | 'md5';
}

/**
 * Where the requests of this storage go, and how.
 * @throws BackupError `invalid-config` for settings that do not go together
 */
export function resolveTarget(options: S3Options): S3Target {
  const preset = S3_PRESETS[options.provider];
  refuseWhatItLacks(preset, options);
  const endpoint = endpointOf(preset, options);
  const region = options.region === '' ? preset.region : options.region;
  return {
    preset,
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(region === undefined ? {} : { region }),
    pathStyle: options.addressing === 'auto' ? preset.pathStyle : options.addressing === 'path',
    checksum: options.checksum === 'auto' ? (preset.crc32 ? 'crc32' : 'md5') : options.checksum,
  };
}

function refuseWhatItLacks(preset: S3Preset, options: S3Options): void {
  const { encryption, kmsKeyId, lockMode, legalHold, accessKeyId, secretAccessKey } = options;
  if (!preset.encryption.includes(encryption)) {
    throw invalid(`${preset.title} does not offer server-side encryption ${encryption}: choose another one`);
  }
  if (kmsKeyId !== '' && encryption !== 'aws:kms') {
    throw invalid('A KMS key is given, but server-side encryption is not aws:kms');
  }
  if (!preset.objectLock && (lockMode !== 'none' || legalHold)) {
    throw invalid(`${preset.title} has no S3 object lock: switch it and the legal hold off`);
  }
  if ((accessKeyId ?? '') !== '' && (secretAccessKey ?? '') === '') {
    throw invalid('The secret access key is missing');
  }
  if ((accessKeyId ?? '') === '' && (secretAccessKey ?? '') !== '') {
    throw invalid('The access key ID is missing');
  }
}

function endpointOf(preset: S3Preset, options: S3Options): string | undefined {
  if (options.endpoint !== '') return checkedEndpoint(options.endpoint);
  if (preset.endpoint === undefined) {
    if (preset === S3_PRESETS.aws) return undefined;
    throw invalid(`${preset.title} needs an endpoint, such as https://s3.example.com:9000`);
  }
  if (preset.endpoint.includes('{accountId}') && options.accountId === '') {
    throw invalid(`${preset.title} needs the account ID, or an endpoint`);
  }
  if (preset.endpoint.includes('{region}') && options.region === '') {
    const choice = preset.regions === undefined ? '' : `: ${preset.regions.join(', ')}`;
    throw invalid(`${preset.title} needs a region${choice}`);
  }
  return preset.endpoint.replace('{accountId}', options.accountId).replace('{region}', options.region);
}

function checkedEndpoint(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw invalid('The endpoint is not an address that begins with https:// or http://');
  }
  if (url.username !== '' || url.password !== '') {
    throw invalid('The endpoint holds a user or password: keys belong into their own fields');
  }
  if (url.search !== '' || url.hash !== '') throw invalid(`The endpoint ${url.origin} holds ? or #`);
  return url.href.replace(/\/+$/, '');
}

function invalid(message: string): BackupError {
  return new BackupError('invalid-config', message);
}
