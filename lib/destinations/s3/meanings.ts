import type { ErrorCode } from '../../errors.ts';
import { isNetworkError, networkMeaning } from './network-failures.ts';

/** What was tried, for the message and for what may be missing. */
export interface Attempted {
  /** As in `Cannot ${doing}`: `list s3://bucket/folder`. */
  readonly doing: string;
  /** What a policy must allow for it: `s3:PutObject`. */
  readonly permission: string;
  readonly bucket: string;
  /** The server, for people: `AWS`, `https://minio.example.com`. */
  readonly server: string;
  /** What a server may not like about the request: `the storage class COLD`. */
  readonly unusual: string;
}

export interface Meaning {
  readonly code: ErrorCode;
  readonly text: string;
  readonly transient?: boolean;
}

/** The parts of an error of the SDK that are used here. */
export interface ServiceError extends Error {
  readonly $metadata?: { readonly httpStatusCode?: number; readonly requestId?: string };
  readonly $response?: { readonly headers?: Readonly<Record<string, string>> };
  readonly Region?: string;
}

/** Codes with which servers ask to come back later. */
export const BUSY = new Set([
  'SlowDown',
  'SlowDownRead',
  'SlowDownWrite',
  'TooManyRequests',
  'TooManyRequestsException',
  'Throttling',
  'ThrottlingException',
  'RequestLimitExceeded',
  'BandwidthLimitExceeded',
]);

/** Codes of failures inside the server or of a connection that it found too slow. */
const PASSING = new Set([
  'InternalError',
  'ServiceUnavailable',
  'ServerBusy',
  'OperationAborted',
  'RequestTimeout',
  'RequestTimeoutException',
  'IncompleteBody',
  'TimeoutError',
  'XMinioServerNotInitialized',
]);

/** What the server received was not what was sent. */
const DAMAGED = new Set([
  'BadDigest',
  'InvalidDigest',
  'XAmzContentSHA256Mismatch',
  'XAmzContentChecksumMismatch',
]);

const FULL = new Set([
  'QuotaExceeded',
  'QuotaExceededException',
  'InsufficientStorage',
  'XMinioStorageFull',
  'XMinioAdminBucketQuotaExceeded',
  'StorageQuotaExceeded',
]);

const WRONG_REGION = new Set([
  'PermanentRedirect',
  'TemporaryRedirect',
  'AuthorizationHeaderMalformed',
  'IllegalLocationConstraintException',
]);

const EXPIRED = new Set(['ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired', 'InvalidToken']);

const SKEWED = new Set(['RequestTimeTooSkewed', 'RequestExpired', 'RequestInTheFuture']);

/** What a failed request means to the person who set the storage up. */
export function meaningOf(error: ServiceError, attempted: Attempted): Meaning {
  const { name } = error;
  if (isNetworkError(error)) return networkMeaning(error, attempted.server);
  if (isForeign(error)) return foreign(attempted.server);
  return (
    meaningOfKeys(error, attempted) ?? meaningOfObject(name, attempted) ?? meaningOfStatus(error, attempted)
  );
}

function meaningOfKeys(error: ServiceError, { bucket, server }: Attempted): Meaning | undefined {
  const { name } = error;
  if (name === 'CredentialsProviderError') {
    return {
      code: 'permission',
      text: 'no keys are set, and none were found in the environment, the configuration files of AWS, or from the container or machine: set an access key',
    };
  }
  if (name === 'InvalidAccessKeyId') {
    return {
      code: 'permission',
      text: `${server} does not know this access key ID: correct it, or the endpoint`,
    };
  }
  if (name === 'SignatureDoesNotMatch') {
    return {
      code: 'permission',
      text: 'the secret access key does not belong to this access key ID: correct it',
    };
  }
  if (EXPIRED.has(name)) {
    return {
      code: 'permission',
      text: 'the session token has expired or is not valid: get new temporary keys',
    };
  }
  if (SKEWED.has(name)) {
    return {
      code: 'invalid-config',
      text: `the clock of this host differs from that of ${server} by more than it allows: set it right, best by NTP`,
    };
  }
  if (WRONG_REGION.has(name) || error.$metadata?.httpStatusCode === 301) {
    const region = error.Region ?? error.$response?.headers?.['x-amz-bucket-region'];
    const where = region === undefined ? 'another region' : `the region ${region}`;
    return {
      code: 'invalid-config',
      text: `the bucket ${bucket} is in ${where}: correct the region of the storage`,
    };
  }
  return undefined;
}

function meaningOfObject(name: string, { bucket, server, permission }: Attempted): Meaning | undefined {
  switch (name) {
    case 'NoSuchBucket':
      return {
        code: 'not-found',
        text: `${server} has no bucket ${bucket}: create it, or correct the bucket, region or endpoint`,
      };
    case 'NoSuchKey':
      return { code: 'not-found', text: 'it does not exist' };
    // Only answers to HEAD have no other name for it.
    case 'NotFound':
      return foreign(server);
    case 'AccessDenied':
    case 'AllAccessDisabled':
    case 'AccountProblem':
      return {
        code: 'permission',
        text: `access is denied: the key needs ${permission} for this bucket and folder`,
      };
    case 'NoSuchUpload':
      return {
        code: 'unavailable',
        text: 'the upload is gone: a lifecycle rule of the bucket, or another DBackup that sweeps this folder, ended it',
        transient: true,
      };
    case 'ConditionalRequestConflict':
      return { code: 'unavailable', text: 'somebody else changes it at the same time', transient: true };
    case 'NotImplemented':
      return { code: 'invalid-config', text: `${server} does not offer what the settings ask for` };
    case 'PreconditionFailed':
      return { code: 'already-exists', text: 'it exists already' };
    case 'InvalidObjectState':
      return {
        code: 'unavailable',
        text: 'it is archived: have the storage restore it first, then try again',
      };
    case 'InvalidStorageClass':
      return { code: 'invalid-config', text: 'the server does not know this storage class: correct it' };
    case 'EntityTooLarge':
      return { code: 'invalid-config', text: 'the server does not take files of that size' };
    default:
      if (name.startsWith('KMS.')) {
        return {
          code: 'invalid-config',
          text: `the KMS key cannot be used (${name}): correct it, or its policy`,
        };
      }
      return undefined;
  }
}

function meaningOfStatus(error: ServiceError, { server, permission, unusual }: Attempted): Meaning {
  const { name, message } = error;
  const status = error.$metadata?.httpStatusCode ?? 0;
  if (FULL.has(name) || status === 507 || /cap exceeded/i.test(message)) {
    return {
      code: 'no-space',
      text: 'the storage is full or its quota is used up: free space or raise the quota',
    };
  }
  if (DAMAGED.has(name)) {
    return {
      code: 'corrupt',
      text: 'the server received other bytes than were sent: check the network and proxies on the way',
      transient: true,
    };
  }
  if (BUSY.has(name) || status === 429) {
    return {
      code: 'unavailable',
      text: `${server} asks to slow down: use fewer parallel parts, or try later`,
      transient: true,
    };
  }
  if (PASSING.has(name) || status >= 500) {
    return { code: 'unavailable', text: `${server} has a problem: ${saidBy(error)}`, transient: true };
  }
  if (status === 403 || status === 401) {
    return {
      code: 'permission',
      text: `access is denied: the key needs ${permission} for this bucket and folder`,
    };
  }
  if (status >= 400) {
    const advice = unusual === '' ? '' : `. Does it offer ${unusual}?`;
    return { code: 'invalid-config', text: `${server} refused it: ${saidBy(error)}${advice}` };
  }
  if (/region is missing/i.test(message)) {
    return {
      code: 'invalid-config',
      text: 'no region is set, and none was found in the environment: set it',
    };
  }
  return status >= 200 ? foreign(server) : { code: 'internal', text: message };
}

/** The SDK could not make sense of the answer. Gateways answer like that for a server that is down. */
function isForeign(error: ServiceError): boolean {
  return isUnreadable(error) && (error.$metadata?.httpStatusCode ?? 0) < 500;
}

function isUnreadable({ message }: ServiceError): boolean {
  return message.includes('Deserialization error');
}

function foreign(server: string): Meaning {
  return {
    code: 'invalid-config',
    text: `${server} does not answer as S3 does: correct the endpoint, or look at the proxy on the way`,
  };
}

/** What the server says; the SDK fills in for one that says nothing. */
function saidBy(error: ServiceError): string {
  const isSilent = error.message === 'UnknownError' || error.message === 'Unknown' || isUnreadable(error);
  if (!isSilent) return error.message;
  return error.name === 'Unknown' || error.name === 'Error' ? 'it does not say why' : error.name;
}
