import { z } from 'zod';

/** Who serves it: fills the endpoint, and says what the server can. See providers.ts. */
export const S3_PROVIDERS = ['aws', 'r2', 'hetzner', 'backblaze', 'minio', 'ceph', 'other'] as const;

/** Where the bucket's name stands: `host`: https://bucket.example.com/key, `path`: https://example.com/bucket/key. */
export const S3_ADDRESSING = ['auto', 'host', 'path'] as const;

/** What the server checks each part against. `auto`: what the provider is known to check. */
export const S3_CHECKSUMS = ['auto', 'crc32', 'md5'] as const;

/** Server-side encryption; `none`: the default of the bucket. */
export const S3_ENCRYPTION = ['none', 'AES256', 'aws:kms'] as const;

/** Object lock. `governance`: some users may lift it. `compliance`: nobody can, the account's owner included. */
export const S3_LOCK_MODES = ['none', 'governance', 'compliance'] as const;

/** Least size of a part but the last one, and the largest that is held in memory here, in MiB. */
export const MIN_PART_MIB = 5;
export const MAX_PART_MIB = 1024;

const HEADER = /^[\x20-\x7e]*$/;
const header = () => z.string().trim().regex(HEADER, 'it holds characters that a header cannot carry');

/** Settings of a bucket on Amazon S3 or a compatible server. */
export const s3Options = z.object({
  provider: z.enum(S3_PROVIDERS).default('aws').meta({
    title: 'Provider',
    description: 'Fills in the address, and how the provider differs from others',
  }),
  endpoint: z.string().trim().default('').meta({
    title: 'Endpoint',
    description: 'Address of the server. Empty: the one of the provider',
    placeholder: 'https://minio.example.com:9000',
  }),
  accountId: z
    .string()
    .trim()
    .regex(/^[A-Za-z0-9]*$/, 'the account id holds letters and digits only')
    .default('')
    .meta({ title: 'Account ID', description: 'Cloudflare R2 only: it is part of the address' }),
  region: z
    .string()
    .trim()
    .regex(/^[A-Za-z0-9-]*$/, 'the region holds letters, digits and hyphens only')
    .default('')
    .meta({
      title: 'Region',
      description: 'Region of the bucket. Empty on AWS: AWS_REGION or the AWS configuration file',
      placeholder: 'eu-central-1',
    }),
  bucket: z
    .string()
    .trim()
    .min(1, 'the bucket is missing')
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/, 'that is no name of a bucket')
    .meta({ title: 'Bucket', description: 'It must exist: buckets are not created' }),
  prefix: z
    .string()
    .trim()
    .transform((prefix) => prefix.replace(/^\/+|\/+$/g, ''))
    .default('')
    .meta({
      title: 'Folder',
      description: 'Folder in the bucket. All that is below it belongs to this storage',
      placeholder: 'backups',
    }),
  addressing: z.enum(S3_ADDRESSING).default('auto').meta({
    title: 'Bucket in',
    description: 'The host name or the path of addresses. Automatic: as the provider needs it',
  }),
  accessKeyId: z.string().trim().optional().meta({
    title: 'Access key ID',
    description: 'Empty: environment, AWS configuration files, or the role of the container or machine',
  }),
  secretAccessKey: z.string().trim().optional().meta({ title: 'Secret access key' }),
  sessionToken: z.string().trim().optional().meta({
    title: 'Session token',
    description: 'Only with temporary keys',
  }),
  caFile: z.string().trim().default('').meta({
    title: 'CA file',
    description: 'PEM file of the authority that signed the certificate of the server. Empty: the usual ones',
    control: 'path',
  }),
  storageClass: header().default('').meta({
    title: 'Storage class',
    description: 'For files of 128 KiB and more; smaller ones are kept in the standard class',
    placeholder: 'STANDARD_IA',
  }),
  encryption: z.enum(S3_ENCRYPTION).default('none').meta({
    title: 'Server-side encryption',
    description: 'By the storage, beside our own encryption. None: as the bucket has it',
  }),
  kmsKeyId: header().default('').meta({
    title: 'KMS key',
    description: 'Id or ARN of the key. Empty: the default key of the account',
  }),
  lockMode: z.enum(S3_LOCK_MODES).default('none').meta({
    title: 'Object lock',
    description:
      'Files cannot be deleted or changed for some days. The bucket must have been created with it',
  }),
  lockDays: z.number().int().min(1).max(36_500).default(30).meta({
    title: 'Locked for',
    description: 'Days from the moment of writing',
    unit: 'days',
  }),
  legalHold: z.boolean().default(false).meta({
    title: 'Legal hold',
    description: 'Files cannot be deleted until somebody lifts the hold',
  }),
  partMiB: z.number().int().min(MIN_PART_MIB).max(MAX_PART_MIB).default(8).meta({
    title: 'Part size',
    description: 'Of uploads, at the beginning. Parts grow with the file, since there are 10 000 at most',
    unit: 'MiB',
  }),
  parallelParts: z.number().int().min(1).max(64).default(8).meta({
    title: 'Parallel parts',
    description: 'Parts of one file that are uploaded at once; part size times this is held in memory',
  }),
  attempts: z.number().int().min(1).max(20).default(8).meta({
    title: 'Attempts',
    description: 'How often a request or part is tried before the upload fails',
  }),
  timeout: z.number().int().min(1).max(3600).default(60).meta({
    title: 'Timeout',
    description: 'How long the server may take to answer, or to take or give the next bytes',
    unit: 's',
  }),
  checksum: z.enum(S3_CHECKSUMS).default('auto').meta({
    title: 'Checksum',
    description: 'What the server checks each part against. Automatic: the best that the provider checks',
  }),
});

export type S3Options = z.output<typeof s3Options>;
/** What a caller gives: the fields with defaults may be left out. */
export type S3OptionsInput = z.input<typeof s3Options>;
