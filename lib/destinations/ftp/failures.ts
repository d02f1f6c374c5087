import { isIP } from 'node:net';
import { BackupError, type ErrorCode } from '../../errors.ts';

interface Meaning {
  readonly code: ErrorCode;
  readonly transient?: boolean;
  /** What the person can do. */
  readonly advice?: string;
}

const LATER: Meaning = { code: 'unavailable', transient: true };
const FULL: Meaning = { code: 'no-space', advice: 'free space there, or raise the quota' };
const NOT_TRUSTED: Meaning = {
  code: 'permission',
  advice: 'set the CA file that signed it, and the host as the certificate names it',
};
const TOO_MANY = /too many|maximum|max\b|limit/i;
const MISSING = /no such (file|dir)|not found|does(n.t| not) exist|cannot find|can.t find/i;

/** By what the server says, whatever its number: the numbers are too coarse. The first that fits. */
const BY_TEXT: readonly (readonly [RegExp, Meaning])[] = [
  [/no space|disk (is )?full|quota|exceed(s|ed)? .*(storage|space)|insufficient .*(storage|space)/i, FULL],
  [MISSING, { code: 'not-found' }],
  [/read-only/i, { code: 'permission', advice: 'the server lets this user only read: allow writing there' }],
  [/not a directory/i, { code: 'invalid-config', advice: 'a part of the path is a file, not a folder' }],
  [
    /permission|denied|not permitted|forbidden|not allowed/i,
    { code: 'permission', advice: 'give the user the right to do so' },
  ],
];

/** By the reply code. Source: RFC 959, section 4.2. */
const BY_REPLY: Readonly<Record<number, Meaning>> = {
  421: LATER,
  425: {
    ...LATER,
    advice: 'the data connection failed: open the passive ports of the server in its firewall',
  },
  426: LATER,
  430: { code: 'permission', advice: 'check user and password' },
  450: LATER,
  451: LATER,
  452: FULL,
  530: { code: 'permission', advice: 'check user and password' },
  532: { code: 'permission', advice: 'the user needs an account for storing files' },
  550: { code: 'permission', advice: 'check that the user may do so' },
  552: FULL,
  553: { code: 'permission', advice: 'the server does not take that name, or the user may not write there' },
};

/** Here the text says less than the number. */
const LOGIN_OR_CONNECTION: readonly number[] = [421, 425, 426, 430, 530];

/** By the code that Node gives to a failed socket or TLS handshake. */
const BY_SYSTEM_CODE: Readonly<Record<string, Meaning>> = {
  ECONNREFUSED: { ...LATER, advice: 'check host and port, and that the server runs' },
  ENOTFOUND: { code: 'unavailable', advice: 'check the host name' },
  ENOENT: { code: 'invalid-config' },
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
  ERR_SSL_WRONG_VERSION_NUMBER: {
    code: 'invalid-config',
    advice: 'the server does not speak TLS there: choose explicit TLS for port 21, implicit TLS for port 990',
  },
};

/**
 * An error of the server, or of the way to it, as one that a person can act on.
 * @param doing what was tried, as in `Cannot ${doing}: …`: `write backups/a to ftps://host:21`
 */
export function ftpFailure(thrown: unknown, doing: string): BackupError {
  if (thrown instanceof BackupError) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const { code, transient = false, advice } = meaningOf(error);
  const hint = advice === undefined ? '' : `; ${advice}`;
  return new BackupError(code, `Cannot ${doing}: ${textOf(error)}${hint}`, { transient, cause: error });
}

/** The number of a reply by which the server refused a command; undefined for every other error. */
export function replyCode(thrown: unknown): number | undefined {
  if (!(thrown instanceof Error)) return undefined;
  const code: unknown = Reflect.get(thrown, 'code');
  return typeof code === 'number' ? code : undefined;
}

/** True when the server said clearly that there is no such file or folder; it may be missing otherwise too. */
export function saysMissing(thrown: unknown): boolean {
  return replyCode(thrown) !== undefined && MISSING.test((thrown as Error).message);
}

/** True when the words of a refusal give its reason, rather than its number alone. */
export function saysWhy(thrown: unknown): boolean {
  return (
    replyCode(thrown) !== undefined && BY_TEXT.some(([pattern]) => pattern.test((thrown as Error).message))
  );
}

/** True when a login failed for other logins that are open. */
export function saysTooMany(thrown: unknown): boolean {
  const code = replyCode(thrown);
  return code === 421 || (code === 530 && TOO_MANY.test((thrown as Error).message));
}

/** The `servername` for TLS: an address is none. */
export function tlsName(host: string): { servername?: string } {
  return isIP(host) === 0 ? { servername: host } : {};
}

function meaningOf(error: Error): Meaning {
  const reply = replyCode(error);
  if (reply !== undefined) return meaningOfReply(reply, error.message);
  const code: unknown = Reflect.get(error, 'code');
  // What is not known is mostly a connection that broke, in the words of the library.
  return (typeof code === 'string' ? BY_SYSTEM_CODE[code] : undefined) ?? LATER;
}

function meaningOfReply(reply: number, message: string): Meaning {
  if (reply === 530 && TOO_MANY.test(message)) {
    return { ...LATER, advice: 'lower the number of connections of this storage' };
  }
  if (LOGIN_OR_CONNECTION.includes(reply)) return BY_REPLY[reply] ?? LATER;
  const byText = BY_TEXT.find(([pattern]) => pattern.test(message))?.[1];
  const byCode = BY_REPLY[reply];
  return byText ?? byCode ?? (reply < 500 ? LATER : { code: 'unavailable' });
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
