import { BackupError, type ErrorCode } from '../errors.ts';

interface Meaning {
  readonly code: ErrorCode;
  readonly transient?: boolean;
  /** What the person can do. */
  readonly advice?: string;
}

const LOST: Meaning = {
  code: 'unavailable',
  transient: true,
  advice: 'check host and port in its URL, and that the server runs',
};
const SIGN_IN: Meaning = {
  code: 'permission',
  advice:
    'check the user in its URL, and DBACKUP_STORE_PASSWORD or DBACKUP_STORE_PASSWORD_FILE; pg_hba.conf of the server must let it in',
};
const NOT_TRUSTED: Meaning = {
  code: 'permission',
  advice:
    'name the authority of its certificate with sslrootcert in its URL, and the host as the certificate does',
};

/** By SQLSTATE, the longest prefix first. Source: appendix A of the PostgreSQL documentation. */
const BY_STATE: readonly (readonly [string, Meaning])[] = [
  ['28', SIGN_IN],
  ['3D000', { code: 'not-found', advice: 'create the database, or name another one in its URL' }],
  [
    '42501',
    {
      code: 'permission',
      advice:
        'let the user create schemas in the database, or make one for it: CREATE SCHEMA dbackup AUTHORIZATION …',
    },
  ],
  ['25006', { code: 'permission', advice: 'it must not be a standby, nor read-only' }],
  ['53100', { code: 'no-space', advice: 'free some space on the disk of the server' }],
  ['53300', { ...LOST, advice: 'raise max_connections of the server' }],
  ['53', LOST],
  ['57P', LOST],
  ['08', LOST],
  ['40', { code: 'unavailable', transient: true }],
];

/** By the code that Node gives to a failed socket or TLS handshake. */
const BY_SYSTEM_CODE: Readonly<Record<string, Meaning>> = {
  ENOTFOUND: { code: 'unavailable', advice: 'check the host in its URL' },
  EACCES: { code: 'permission', advice: 'let this user open the Unix socket of the server' },
  DEPTH_ZERO_SELF_SIGNED_CERT: NOT_TRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: NOT_TRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: NOT_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: NOT_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: NOT_TRUSTED,
  CERT_HAS_EXPIRED: { code: 'permission', advice: "renew the server's certificate" },
  ERR_TLS_CERT_ALTNAME_INVALID: NOT_TRUSTED,
};

for (const code of [
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'ENOENT',
]) {
  Object.assign(BY_SYSTEM_CODE, { [code]: LOST });
}

/** By what the library says where there is no code. */
const BY_TEXT: readonly (readonly [RegExp, Meaning])[] = [
  [
    /[Cc]onnection terminated|not queryable|connection has been discarded|timeout exceeded when trying to connect/,
    LOST,
  ],
  [/password must be a/, SIGN_IN],
  [
    /does not support SSL/,
    { code: 'unavailable', advice: 'let the server offer TLS, or lower sslmode in its URL' },
  ],
];

/** Says what an error of PostgreSQL, or of the way to it, means for the store. */
export function postgresStoreError(thrown: unknown, store: string): BackupError {
  const { code, transient = false, advice } = meaningOf(thrown) ?? { code: 'internal' };
  const text = `The store ${store} cannot be used: ${textOf(thrown)}`;
  return new BackupError(code, advice === undefined ? text : `${text}. To mend it, ${advice}`, {
    transient,
    cause: thrown,
  });
}

/** True when the way to the server broke, or the server is not there at the moment. */
export function isLostConnection(thrown: unknown): boolean {
  return meaningOf(thrown)?.code === 'unavailable' && meaningOf(thrown)?.transient === true;
}

function meaningOf(thrown: unknown): Meaning | undefined {
  const code = codeOf(thrown);
  if (/^[0-9A-Z]{5}$/.test(code)) {
    const byState = BY_STATE.find(([prefix]) => code.startsWith(prefix))?.[1];
    if (byState !== undefined) return byState;
  }
  if (Object.hasOwn(BY_SYSTEM_CODE, code)) return BY_SYSTEM_CODE[code];
  const text = textOf(thrown);
  return BY_TEXT.find(([pattern]) => pattern.test(text))?.[1];
}

/** Several addresses of one host fail as one error without a message of its own. */
function textOf(thrown: unknown): string {
  if (!(thrown instanceof AggregateError) || thrown.message !== '') {
    return thrown instanceof Error ? thrown.message : String(thrown);
  }
  const messages = thrown.errors.map((one: unknown) => (one instanceof Error ? one.message : String(one)));
  return [...new Set(messages)].join(', ');
}

function codeOf(thrown: unknown): string {
  const code: unknown = thrown instanceof Error ? Reflect.get(thrown, 'code') : undefined;
  return typeof code === 'string' ? code : '';
}
