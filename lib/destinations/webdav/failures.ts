import { BackupError, type ErrorCode } from '../../errors.ts';

interface Meaning {
  readonly code: ErrorCode;
  readonly transient?: boolean;
  /** What the person can do. */
  readonly advice?: string;
}

const LATER: Meaning = { code: 'unavailable', transient: true };
const NOT_TRUSTED: Meaning = {
  code: 'permission',
  advice: 'set the CA file that signed it, and the host as the certificate names it',
};
const NO_TLS: Meaning = {
  code: 'invalid-config',
  advice: 'the server does not speak TLS there: check the port, and whether it is https',
};
const FULL: Meaning = { code: 'no-space', advice: 'free space there, or raise the quota' };
const MOVED: Meaning = { code: 'invalid-config', advice: 'set the URL that it leads to' };

/** By HTTP status. Sources: RFC 9110, section 15; RFC 4918, section 11. */
const BY_STATUS: Readonly<Record<number, Meaning>> = {
  301: MOVED,
  302: MOVED,
  307: MOVED,
  308: MOVED,
  400: { code: 'invalid-config' },
  401: { code: 'permission', advice: 'check user and password, and the kind of sign-in' },
  403: { code: 'permission', advice: 'give the user the right to do so' },
  404: { code: 'not-found' },
  405: { code: 'invalid-config', advice: 'check that the URL is the one for WebDAV' },
  408: LATER,
  409: { code: 'not-found', advice: 'the folder above is missing' },
  412: { code: 'already-exists' },
  413: {
    code: 'no-space',
    advice: 'raise the limit of the server (LimitRequestBody of Apache, client_max_body_size of nginx)',
  },
  423: { ...LATER, advice: 'somebody has locked it' },
  425: LATER,
  429: LATER,
  500: LATER,
  501: { code: 'invalid-config', advice: 'check that the URL is the one for WebDAV' },
  502: LATER,
  503: LATER,
  504: LATER,
  507: FULL,
};

/** By the code that Node gives to a failed socket or TLS handshake. */
const BY_SYSTEM_CODE: Readonly<Record<string, Meaning>> = {
  ECONNREFUSED: { ...LATER, advice: 'check host and port, and that the server runs' },
  ENOTFOUND: { code: 'unavailable', advice: 'check the host name' },
  DEPTH_ZERO_SELF_SIGNED_CERT: NOT_TRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: NOT_TRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: NOT_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: NOT_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: NOT_TRUSTED,
  CERT_UNTRUSTED: NOT_TRUSTED,
  CERT_SIGNATURE_FAILURE: NOT_TRUSTED,
  ERR_TLS_CERT_ALTNAME_INVALID: NOT_TRUSTED,
  CERT_HAS_EXPIRED: { code: 'permission', advice: "renew the server's certificate" },
  CERT_NOT_YET_VALID: { code: 'permission', advice: 'check the clocks of both sides' },
};

/** A reply with a status that is none of those that were expected. */
export class StatusError extends Error {
  readonly status: number;

  /** @param location where a redirect leads */
  constructor(status: number, reason: string | undefined, location?: string) {
    super(`HTTP ${status}${reason ? ` ${reason}` : ''}${location === undefined ? '' : ` (to ${location})`}`);
    this.status = status;
  }
}

/** The status by which a server refused; undefined for every other error. */
export function statusOf(thrown: unknown): number | undefined {
  return thrown instanceof StatusError ? thrown.status : undefined;
}

/**
 * An error of the server, or of the way to it, as one that a person can act on.
 * @param doing what was tried, as in `Cannot ${doing}: …`: `write backups/a to https://host/dav`
 */
export function webdavFailure(thrown: unknown, doing: string): BackupError {
  if (thrown instanceof BackupError) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const { code, transient = false, advice } = meaningOf(error);
  const hint = advice === undefined ? '' : `; ${advice}`;
  return new BackupError(code, `Cannot ${doing}: ${textOf(error)}${hint}`, { transient, cause: error });
}

function meaningOf(error: Error): Meaning {
  if (error instanceof StatusError) {
    return BY_STATUS[error.status] ?? (error.status >= 500 ? LATER : { code: 'unavailable' });
  }
  const code: unknown = Reflect.get(error, 'code');
  if (/wrong version number|packet length too long/.test(error.message)) return NO_TLS;
  // What is not known is mostly a connection that broke.
  return (typeof code === 'string' ? BY_SYSTEM_CODE[code] : undefined) ?? LATER;
}

/** Several addresses of one host fail as one error without a message of its own. */
function textOf(error: Error): string {
  if (error instanceof AggregateError && error.message === '') {
    return [
      ...new Set(error.errors.map((each: unknown) => (each instanceof Error ? each.message : String(each)))),
    ].join(', ');
  }
  return error.message.replaceAll('\n', ' ');
}
