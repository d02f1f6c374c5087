import { setTimeout as wait } from 'node:timers/promises';
import { BackupError, type ErrorCode } from '../../errors.ts';

interface Meaning {
  readonly code: ErrorCode;
  readonly transient?: boolean;
  /** What the person can do. */
  readonly advice?: string;
}

const LATER: Meaning = { code: 'unavailable', transient: true };
const LOGIN: Meaning = { code: 'permission', advice: 'check user, password and domain' };
const MISSING: Meaning = { code: 'not-found' };
const FULL: Meaning = { code: 'no-space', advice: 'free space there, or raise the quota' };
const BAD_NAME: Meaning = { code: 'invalid-config', advice: 'the server does not take that name' };

/**
 * What the status of a server means, without its `NT_STATUS_`.
 * Source: [MS-ERREF], section 2.3; what is not here is mostly a connection that broke.
 */
const BY_STATUS: Readonly<Record<string, Meaning>> = {
  LOGON_FAILURE: LOGIN,
  WRONG_PASSWORD: LOGIN,
  NO_SUCH_USER: LOGIN,
  NO_SUCH_DOMAIN: { code: 'permission', advice: 'check the domain of the user' },
  ACCOUNT_DISABLED: { code: 'permission', advice: 'the account is disabled: enable it on the server' },
  ACCOUNT_LOCKED_OUT: {
    code: 'permission',
    advice: 'the account is locked: unlock it on the server, then check the password',
  },
  ACCOUNT_EXPIRED: { code: 'permission', advice: 'the account has expired: renew it on the server' },
  PASSWORD_EXPIRED: { code: 'permission', advice: 'the password has expired: set a new one' },
  PASSWORD_MUST_CHANGE: { code: 'permission', advice: 'the password must be changed: set a new one' },
  INVALID_LOGON_HOURS: { code: 'permission', advice: 'the account may not log in at this time' },
  INVALID_WORKSTATION: { code: 'permission', advice: 'the account may not log in from this host' },
  ACCOUNT_RESTRICTION: {
    code: 'permission',
    advice: 'the account may not log in like this; it may have no password',
  },
  LOGON_TYPE_NOT_GRANTED: { code: 'permission', advice: 'the account may not log in over the network' },
  NOLOGON_WORKSTATION_TRUST_ACCOUNT: LOGIN,
  BAD_NETWORK_NAME: { code: 'not-found', advice: 'there is no such share: check its name' },
  ACCESS_DENIED: {
    code: 'permission',
    advice: 'give the user the right to do so, on the share and on its folder',
  },
  NETWORK_ACCESS_DENIED: {
    code: 'permission',
    advice: 'give the user the right to do so, on the share and on its folder',
  },
  PRIVILEGE_NOT_HELD: { code: 'permission', advice: 'give the user the right to do so' },
  CANNOT_DELETE: { code: 'permission', advice: 'the file is write-protected or in use' },
  MEDIA_WRITE_PROTECTED: {
    code: 'permission',
    advice: 'the server lets this user only read: allow writing there',
  },
  DISK_FULL: FULL,
  QUOTA_EXCEEDED: FULL,
  DISK_QUOTA_EXCEEDED: FULL,
  FILE_TOO_LARGE: { code: 'no-space', advice: "the server's file system cannot hold a file of that size" },
  NO_SUCH_FILE: MISSING,
  OBJECT_NAME_NOT_FOUND: MISSING,
  OBJECT_PATH_NOT_FOUND: MISSING,
  NOT_FOUND: MISSING,
  OBJECT_NAME_COLLISION: { code: 'already-exists' },
  OBJECT_NAME_INVALID: BAD_NAME,
  OBJECT_PATH_SYNTAX_BAD: BAD_NAME,
  OBJECT_PATH_INVALID: BAD_NAME,
  NAME_TOO_LONG: BAD_NAME,
  NOT_A_DIRECTORY: { code: 'invalid-config', advice: 'a part of the path is a file, not a folder' },
  FILE_IS_A_DIRECTORY: { code: 'invalid-config', advice: 'there is a folder of that name' },
  PATH_NOT_COVERED: {
    code: 'invalid-config',
    advice: 'it lies on another server (DFS): name that server and its share',
  },
  CONNECTION_REFUSED: { ...LATER, advice: 'check host and port, and that the server runs' },
  HOST_UNREACHABLE: { ...LATER, advice: 'check host and network' },
  NETWORK_UNREACHABLE: { ...LATER, advice: 'check host and network' },
};

/** What passes soon, mostly when somebody else has closed the file. */
const PASSING: readonly string[] = [
  'SHARING_VIOLATION',
  'DELETE_PENDING',
  'DIRECTORY_NOT_EMPTY',
  'FILE_LOCK_CONFLICT',
  'FILE_CLOSED',
  'USER_MAPPED_FILE',
];

/** Statuses after which the connection can be used again. */
function isAnswer(status: string): boolean {
  const meaning = BY_STATUS[status];
  return (meaning !== undefined && meaning.transient !== true) || PASSING.includes(status);
}

/** What smbclient says of a connection that does not come about, where that tells more than the status. */
const BY_TEXT: readonly (readonly [RegExp, Meaning])[] = [
  [
    /server doesn't support SMB3 encryption/,
    {
      code: 'invalid-config',
      advice: 'enable encryption (SMB 3) on the server; not to require it here is the last resort',
    },
  ],
  [
    /Encryption required and setup failed/,
    {
      code: 'permission',
      advice: 'the server let us in only as a guest, who has no key to encrypt with: check the user',
    },
  ],
  [
    /protocol negotiation failed: NT_STATUS_(NOT_SUPPORTED|INVALID_PARAMETER|INVALID_NETWORK_RESPONSE)/,
    {
      code: 'invalid-config',
      advice: 'the server speaks no protocol that is allowed: enable SMB 3 there, or allow SMB 2 here',
    },
  ],
  [
    /Connection to .* failed .*NT_STATUS_UNSUCCESSFUL/,
    { ...LATER, advice: 'check the name of the host, and that it can be reached' },
  ],
];

/** smbclient could not do what it was told: the server's status, and smbclient's words. */
export class SmbRefusal extends Error {
  /** Without `NT_STATUS_`; empty when the server named none that counts. */
  readonly status: string;
  /** The server answered: the session can be used again. */
  readonly answered: boolean;

  constructor(lines: readonly string[]) {
    // The first: what fails then is mostly a consequence of it.
    const line = lines.find((each) => STATUS.test(each) && !HARMLESS.test(each)) ?? lines.at(-1);
    super(line ?? 'smbclient ended without a word');
    this.name = 'SmbRefusal';
    this.status = saysDamaged(lines) ? '' : (STATUS.exec(this.message)?.[1] ?? '');
    this.answered = isAnswer(this.status);
  }
}

const STATUS = /\bNT_STATUS_([A-Z0-9_]+)/;

/** True when a message came whose signature is wrong: its status is not the server's word. */
function saysDamaged(lines: readonly string[]): boolean {
  return lines.some((line) => /^Bad SMB2/.test(line));
}

/** What smbclient says of a failure; rows of listings begin with two blanks. */
const REFUSED = /^(?! {2}).*NT_STATUS_/;
/** Not of a failure: encryption that is only desired, and free space that a server does not tell. */
const HARMLESS = /^(Encryption required|Error in dskattr)/;

/** The failure in what smbclient said, if there is one. */
export function refusalIn(lines: readonly string[]): SmbRefusal | undefined {
  const told = lines.filter((line) => !line.startsWith('  ') && !HARMLESS.test(line));
  return told.some((line) => REFUSED.test(line)) ? new SmbRefusal(told) : undefined;
}

/** Why a connection did not come about, from all that smbclient said. */
export function loginFailure(lines: readonly string[], doing: string): BackupError {
  const refusal = new SmbRefusal(lines);
  if (saysDamaged(lines)) return failure(UNSIGNED, 'the signature of the server is wrong', doing, refusal);
  // With encryption that is only desired smbclient says the same, and goes on.
  const telling = refusal.status === 'ACCESS_DENIED' ? lines : lines.slice(-1);
  const told = BY_TEXT.find(([pattern]) => telling.some((line) => pattern.test(line)));
  return told === undefined ? smbFailure(refusal, doing) : failure(told[1], refusal.message, doing, refusal);
}

const UNSIGNED: Meaning = {
  code: 'permission',
  advice: 'servers sign nothing for guests: check user and password; else somebody changes what is sent',
};

/**
 * An error of the server, or of the way to it, as one that a person can act on.
 * @param doing what was tried, as in `Cannot ${doing}: …`: `write backups/a to smb://host/share`
 */
export function smbFailure(thrown: unknown, doing: string): BackupError {
  if (thrown instanceof BackupError) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const meaning = error instanceof SmbRefusal ? BY_STATUS[error.status] : undefined;
  // What is not known is mostly a connection that broke.
  return failure(meaning ?? LATER, error.message, doing, error);
}

/** How long what passes is waited for, in ms: each time somewhat longer. */
const PAUSES_MS = [10, 20, 40, 80, 160, 320, 640, 1280];

/**
 * Does it again while somebody else has the file or folder open for a moment, as virus scanners do, or removes it.
 * @throws what the last try threw
 */
export async function oncePassed<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (const pause of PAUSES_MS) {
    try {
      return await work();
    } catch (error) {
      if (!isRefusal(error, 'SHARING_VIOLATION', 'DELETE_PENDING')) throw error;
    }
    await wait(pause, undefined, { signal });
  }
  return await work();
}

/** True when the server said that there is no such file or folder. */
export function saysMissing(thrown: unknown): boolean {
  return isRefusal(thrown, 'NO_SUCH_FILE', 'OBJECT_NAME_NOT_FOUND', 'OBJECT_PATH_NOT_FOUND', 'NOT_FOUND');
}

/** True for a refusal with one of these statuses, or any when none is given, by a server that still answers. */
export function isRefusal(thrown: unknown, ...statuses: string[]): thrown is SmbRefusal {
  if (!(thrown instanceof SmbRefusal) || !thrown.answered) return false;
  return statuses.length === 0 || statuses.includes(thrown.status);
}

function failure(meaning: Meaning, text: string, doing: string, cause: Error): BackupError {
  const { code, transient = false, advice } = meaning;
  const hint = advice === undefined ? '' : `; ${advice}`;
  return new BackupError(code, `Cannot ${doing}: ${text}${hint}`, { transient, cause });
}
