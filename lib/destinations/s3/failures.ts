import { BackupError } from '../../errors.ts';
import { type Attempted, BUSY, meaningOf, type ServiceError } from './meanings.ts';

/** True when the server named one of these codes, as `NoSuchKey`. */
export function isS3Code(thrown: unknown, ...codes: string[]): boolean {
  const cause = thrown instanceof BackupError ? thrown.cause : thrown;
  return cause instanceof Error && codes.includes(cause.name);
}

/** The HTTP status of the server's answer, when there was one. */
export function statusOf(thrown: unknown): number | undefined {
  const cause = thrown instanceof BackupError ? thrown.cause : thrown;
  return (cause as ServiceError | undefined)?.$metadata?.httpStatusCode;
}

/** True when the server asks for fewer requests: then the pause before the next one is longer. */
export function isBusy(thrown: unknown): boolean {
  return isS3Code(thrown, ...BUSY) || statusOf(thrown) === 429;
}

/** True when our clock was found wrong, and the SDK will sign by the server's from now on. */
export function isClockCorrected(thrown: unknown): boolean {
  const { $metadata } = thrown as { $metadata?: { clockSkewCorrected?: boolean } };
  return $metadata?.clockSkewCorrected === true;
}

/**
 * The BackupError for a failed request; one that already is a BackupError passes unchanged. Its cause is a
 * digest of the original: that one holds the whole exchange.
 */
export function s3Failure(thrown: unknown, attempted: Attempted): BackupError {
  if (thrown instanceof BackupError) return thrown;
  const error = thrown instanceof Error ? (thrown as ServiceError) : new Error(String(thrown));
  const { code, text, transient } = meaningOf(error, attempted);
  return new BackupError(code, `Cannot ${attempted.doing}: ${text}${reference(error)}`, {
    transient: transient ?? false,
    cause: digest(error),
  });
}

/** What the operators of the server ask for: `(SlowDown, HTTP 503, request tx0001)`. */
function reference(error: ServiceError): string {
  const { httpStatusCode, requestId } = error.$metadata ?? {};
  if (httpStatusCode === undefined) return '';
  const request = requestId === undefined ? '' : `, request ${requestId}`;
  return ` (${error.name}, HTTP ${httpStatusCode}${request})`;
}

function digest(error: ServiceError): Error {
  const { code } = error as NodeJS.ErrnoException;
  const { httpStatusCode } = error.$metadata ?? {};
  const small = new Error(error.message);
  return Object.assign(small, {
    name: error.name,
    ...(code === undefined ? {} : { code }),
    ...(httpStatusCode === undefined ? {} : { $metadata: { httpStatusCode } }),
  });
}
