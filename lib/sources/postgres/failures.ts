import { BackupError, type ErrorCode } from '../../errors.ts';

interface Meaning {
  readonly code: ErrorCode;
  readonly transient?: boolean;
  /** What the person can do. */
  readonly advice?: string;
}

const CHECK_LOGIN = 'check user and password of the server node';
const LATER: Meaning = { code: 'unavailable', transient: true };

/** By SQLSTATE, the longest prefix first. Source: appendix A of the PostgreSQL documentation. */
const BY_STATE: readonly (readonly [string, Meaning])[] = [
  ['28', { code: 'permission', advice: CHECK_LOGIN }],
  ['3D000', { code: 'not-found' }],
  ['42501', { code: 'permission' }],
  ['42P04', { code: 'already-exists' }],
  ['53100', { code: 'no-space' }],
  ['53300', { ...LATER, advice: 'raise max_connections of the server, or dump fewer databases at a time' }],
  ['53', LATER],
  ['55000', { code: 'unavailable', advice: 'allow connections to it, or exclude it' }],
  ['55006', LATER],
  ['55P03', { ...LATER, advice: 'find who holds the lock, or raise the lock timeout' }],
  ['57014', { code: 'stalled', transient: true }],
  ['57P', LATER],
  ['08', LATER],
  ['40', LATER],
];

const NOT_TRUSTED: Meaning = {
  code: 'permission',
  advice: 'set the CA file that signed it and the name that it bears',
};

/** By the code that Node gives to a failed socket or TLS handshake. */
const BY_SYSTEM_CODE: Readonly<Record<string, Meaning>> = {
  ECONNREFUSED: { ...LATER, advice: 'check host and port, and that the server runs' },
  ECONNRESET: LATER,
  EPIPE: LATER,
  ETIMEDOUT: LATER,
  EHOSTUNREACH: LATER,
  ENETUNREACH: LATER,
  EAI_AGAIN: LATER,
  ENOTFOUND: { code: 'unavailable', advice: 'check the host name' },
  ENOENT: { ...LATER, advice: 'the host is the folder of the Unix socket; check that the server runs' },
  EACCES: { code: 'permission', advice: 'let this user open the Unix socket of the server' },
  DEPTH_ZERO_SELF_SIGNED_CERT: NOT_TRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: NOT_TRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: NOT_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: NOT_TRUSTED,
  UNABLE_TO_GET_ISSUER_CERT: NOT_TRUSTED,
  CERT_HAS_EXPIRED: { code: 'permission', advice: "renew the server's certificate" },
  ERR_TLS_CERT_ALTNAME_INVALID: NOT_TRUSTED,
};

/** By what the library or a tool says where there is no code. The first that fits. */
const BY_TEXT: readonly (readonly [RegExp, Meaning])[] = [
  // pg_dump waits for locks under a statement timeout of its own.
  [
    /lock timeout|statement timeout.*LOCK TABLE/,
    { ...LATER, advice: 'somebody else holds a lock: find out who, or raise the lock timeout' },
  ],
  [
    /password authentication failed|no password supplied|password must be a/,
    { code: 'permission', advice: CHECK_LOGIN },
  ],
  [
    /no pg_hba\.conf entry|role ".*" (does not exist|is not permitted to log in)/,
    { code: 'permission', advice: CHECK_LOGIN },
  ],
  [
    /does not support SSL/,
    { code: 'unavailable', advice: 'let the server offer TLS, or lower the TLS mode' },
  ],
  [/certificate verify failed|server certificate for/, NOT_TRUSTED],
  [/database ".*" does not exist/, { code: 'not-found' }],
  [
    /extension ".*" is not available|could not open extension control file/,
    { code: 'unavailable', advice: 'install the extension on that server' },
  ],
  [
    /could not (access file "\$libdir|load library)/,
    { code: 'unavailable', advice: 'install what the database uses on that server' },
  ],
  [
    /parameter "default_tablespace"|tablespace ".*" does not exist/,
    { code: 'unavailable', advice: 'make that tablespace on that server' },
  ],
  [
    /unrecognized configuration parameter/,
    { code: 'unavailable', advice: 'that server or its extensions are older: update them' },
  ],
  [/out of (shared )?memory/, LATER],
  [/row-level security/, { code: 'permission', advice: 'give the user BYPASSRLS' }],
  [
    /permission denied|must be (superuser|owner)/,
    { code: 'permission', advice: 'give the user the privileges that docs/postgres.md lists' },
  ],
  [/statement timeout|due to user request/, { code: 'stalled', transient: true }],
  [/could not (resize|extend|write).*No space left/, { code: 'no-space' }],
  [/too many (clients|connections)|remaining connection slots/, LATER],
  [/starting up|shutting down|terminating connection|in recovery mode/, LATER],
  [
    /server closed the connection|connection (not open|to server was lost)|timeout expired|[Cc]onnection terminated|not queryable/,
    LATER,
  ],
  [/could not (receive|send) data|SSL SYSCALL|Connection (refused|reset|timed out)|Broken pipe/, LATER],
  [/could not translate host name/, { code: 'unavailable', advice: 'check the host name' }],
];

/**
 * An error of the server, or of the way to it, as one that a person can act on.
 * @param subject what failed: `PostgreSQL server 127.0.0.1:5432`
 */
export function postgresFailure(thrown: unknown, subject: string): BackupError {
  if (thrown instanceof BackupError) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const meaning = meaningOf(error);
  const advice = meaning.advice === undefined ? '' : `: ${meaning.advice}`;
  return new BackupError(meaning.code, `${subject}: ${textOf(error)}${advice}`, {
    transient: meaning.transient ?? false,
    cause: error,
  });
}

/** A tool that failed says why in words: finds the class of causes in them, for `ToolCommand.classify`. */
export function toolFailure(failure: BackupError): BackupError {
  const meaning = BY_TEXT.find(([pattern]) => pattern.test(failure.message))?.[1];
  if (meaning === undefined) return failure;
  const advice = meaning.advice === undefined ? '' : `: ${meaning.advice}`;
  return new BackupError(meaning.code, `${failure.message}${advice}`, {
    transient: meaning.transient ?? false,
    cause: failure,
  });
}

function meaningOf(error: Error): Meaning {
  const code = codeOf(error);
  const byState = BY_STATE.find(([prefix]) => /^[0-9A-Z]{5}$/.test(code) && code.startsWith(prefix))?.[1];
  const byText = BY_TEXT.find(([pattern]) => pattern.test(error.message))?.[1];
  return BY_SYSTEM_CODE[code] ?? byState ?? byText ?? { code: 'unavailable' };
}

/** Several addresses of one host fail as one error without a message of its own. */
function textOf(error: Error): string {
  if (error instanceof AggregateError && error.message === '') {
    return [
      ...new Set(error.errors.map((one: unknown) => (one instanceof Error ? one.message : String(one)))),
    ].join(', ');
  }
  return error.message;
}

function codeOf(error: Error): string {
  const code: unknown = Reflect.get(error, 'code');
  return typeof code === 'string' ? code : '';
}
