import { z } from 'zod';
import { s3Options } from '../../lib/destinations/s3/options.ts';
import { S3_PRESETS, type S3Preset } from '../../lib/destinations/s3/providers.ts';
import { createS3Destination } from '../../lib/destinations/s3/s3.ts';
import { toBackupError } from '../../lib/errors.ts';
import { nodeName } from '../forms/common-fields.ts';
import { CA_FILE, FOLDER, TIMEOUT } from './storage-fields.ts';

const { shape } = s3Options;

const ADDRESS = String.raw`^https?://[^\s?#@]+$`;

function endpointLike(placeholder: string) {
  return shape.endpoint.meta({ icon: 'fa-globe', placeholder, pattern: ADDRESS });
}

function regionLike(placeholder: string) {
  return shape.region.meta({ icon: 'fa-map-marker', placeholder });
}

/** For providers whose address depends on it. */
function neededRegion(placeholder: string) {
  return shape.region.unwrap().min(1).meta({ icon: 'fa-map-marker', placeholder });
}

const place = {
  bucket: shape.bucket.meta({ icon: 'fa-archive', placeholder: 'my-backups' }),
  prefix: shape.prefix.meta(FOLDER),
  accessKeyId: shape.accessKeyId.meta({ icon: 'fa-id-badge' }),
  secretAccessKey: shape.secretAccessKey.meta({ icon: 'fa-key', secret: true }),
};

const temporaryKeys = {
  sessionToken: shape.sessionToken.meta({ icon: 'fa-ticket', secret: true, section: 'advanced' }),
};

const storageClass = {
  storageClass: shape.storageClass.meta({
    icon: 'fa-thermometer-half',
    section: 'advanced',
    placeholder: 'STANDARD_IA',
  }),
};

function encryptionOf({ encryption }: S3Preset) {
  return {
    encryption: z.enum(encryption).default('none').meta({ icon: 'fa-shield', section: 'advanced' }),
  };
}

const kmsKey = {
  kmsKeyId: shape.kmsKeyId.meta({ icon: 'fa-key', section: 'advanced', placeholder: 'alias/backups' }),
};

const objectLock = {
  lockMode: shape.lockMode.meta({ icon: 'fa-lock', section: 'advanced', cautions: ['compliance'] }),
  lockDays: shape.lockDays.meta({ icon: 'fa-calendar', unit: 'days', section: 'advanced' }),
  legalHold: shape.legalHold.meta({ icon: 'fa-gavel', section: 'advanced' }),
};

const uploads = {
  partMiB: shape.partMiB.meta({ icon: 'fa-th-large', unit: 'MiB', section: 'advanced' }),
  parallelParts: shape.parallelParts.meta({ icon: 'fa-tasks', section: 'advanced' }),
  checksum: shape.checksum.meta({ icon: 'fa-hashtag', section: 'advanced' }),
  attempts: shape.attempts.meta({ icon: 'fa-repeat', section: 'advanced' }),
  timeout: shape.timeout.meta(TIMEOUT),
};

/** What a server of one's own has. */
const ownServer = {
  endpoint: shape.endpoint
    .unwrap()
    .min(1)
    .meta({ icon: 'fa-globe', placeholder: 'https://s3.example.com:9000', pattern: ADDRESS }),
  region: regionLike('us-east-1'),
  ...place,
  ...temporaryKeys,
  addressing: shape.addressing.meta({ icon: 'fa-code-fork', section: 'advanced' }),
  caFile: shape.caFile.meta(CA_FILE),
  ...storageClass,
  ...encryptionOf(S3_PRESETS.other),
  ...kmsKey,
  ...objectLock,
  ...uploads,
};

const first = { name: nodeName };

/** A bucket with what its provider needs and offers; lib's presets say the same. */
export const s3Settings = z
  .discriminatedUnion('provider', [
    z.object({
      ...first,
      provider: z.literal('aws').meta({ icon: 'fa-cloud' }),
      region: regionLike('eu-central-1'),
      endpoint: endpointLike('https://vpce-….amazonaws.com'),
      ...place,
      ...temporaryKeys,
      ...storageClass,
      ...encryptionOf(S3_PRESETS.aws),
      ...kmsKey,
      ...objectLock,
      ...uploads,
    }),
    z.object({
      ...first,
      provider: z.literal('r2'),
      accountId: shape.accountId.unwrap().min(1).meta({ icon: 'fa-id-card-o' }),
      endpoint: endpointLike('https://….eu.r2.cloudflarestorage.com'),
      ...place,
      ...temporaryKeys,
      ...storageClass,
      ...uploads,
    }),
    z.object({
      ...first,
      provider: z.literal('hetzner'),
      region: neededRegion('fsn1'),
      ...place,
      ...objectLock,
      ...uploads,
    }),
    z.object({
      ...first,
      provider: z.literal('backblaze'),
      region: neededRegion('eu-central-003'),
      ...place,
      ...encryptionOf(S3_PRESETS.backblaze),
      ...objectLock,
      ...uploads,
    }),
    z.object({ ...first, provider: z.literal('minio'), ...ownServer }),
    z.object({ ...first, provider: z.literal('ceph'), ...ownServer }),
    z.object({ ...first, provider: z.literal('other'), ...ownServer }),
  ])
  .superRefine((settings, context) => {
    try {
      createS3Destination(settings);
    } catch (error) {
      context.addIssue({ code: 'custom', message: toBackupError(error).message });
    }
  });
