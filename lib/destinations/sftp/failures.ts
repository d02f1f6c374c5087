import { BackupError, type ErrorCode } from '../../errors.ts';

/** SSH_FX_… of draft-ietf-secsh-filexfer-02, section 7. */
export const STATUS = {
  EOF: 1,
  NO_SUCH_FILE: 2,
  PERMISSION_DENIED: 3,
  FAILURE: 4,
  BAD_MESSAGE: 5,
  OP_UNSUPPORTED: 8,
} as const;

interface Meaning {
  readonly code: ErrorCode;
  readonly transient?: boolean;
  /** What the person can do. */
  readonly advice?: string;
}

const DENIED: Meaning = {
  code: 'permission',
  advice: 'give the user the right to do so; a server can also let users only read (internal-sftp -R)',
};
const FULL: Meaning = { code: 'no-space', advice: 'free space there, or raise the quota' };

/** The texts of some servers say more than the status; the first that fits. */
const BY_TEXT: readonly (readonly [RegExp, Meaning])[] = [
  [/no space|disk (is )?full|quota/i, FULL],
  [/read-only/i, { code: 'permission', advice: 'the file system of the server can only be read' }],
  [/not a directory/i, { code: 'invalid-config', advice: 'a part of the path is a file, not a folder' }],
];

const BY_STATUS: Readonly<Record<number, Meaning>> = {
  [STATUS.NO_SUCH_FILE]: { code: 'not-found' },
  [STATUS.PERMISSION_DENIED]: DENIED,
  [STATUS.FAILURE]: { code: 'unavailable', transient: true, advice: 'the log of the server may say why' },
  [STATUS.BAD_MESSAGE]: { code: 'invalid-config', advice: 'the server does not take such a name' },
  [STATUS.OP_UNSUPPORTED]: { code: 'unavailable' },
};

/** The server does not know a request. */
export class Unsupported extends Error {
  constructor(cause: unknown) {
    super('the server does not offer it', { cause });
  }
}

/** True for an answer by which the server refused a request, with that status when one is given. */
export function isStatus(thrown: unknown, status?: number): thrown is Error {
  if (!(thrown instanceof Error) || thrown instanceof BackupError) return false;
  const code: unknown = Reflect.get(thrown, 'code');
  return status === undefined ? typeof code === 'number' : code === status;
}

/** True when there is no such file or folder, or one above it is a file: servers do not tell them apart. */
export function isMissing(thrown: unknown): boolean {
  return isStatus(thrown, STATUS.NO_SUCH_FILE);
}

/** True when the server cannot do what was asked, however it is meant. */
export function isUnsupported(thrown: unknown): boolean {
  return thrown instanceof Unsupported || isStatus(thrown, STATUS.OP_UNSUPPORTED);
}

/**
 * An error of the server, or of the way to it, as one that a person can act on.
 * @param doing what was tried, as in `Cannot ${doing}: …`: `write job/a on sftp://host:22`
 */
export function sftpFailure(thrown: unknown, doing: string): BackupError {
  if (thrown instanceof BackupError) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const { code, transient = false, advice } = meaningOf(error);
  const hint = advice === undefined ? '' : `; ${advice}`;
  return new BackupError(code, `Cannot ${doing}: ${error.message}${hint}`, { transient, cause: error });
}

function meaningOf(error: Error): Meaning {
  if (!isStatus(error)) return { code: 'unavailable' };
  const byText = BY_TEXT.find(([pattern]) => pattern.test(error.message))?.[1];
  return byText ?? BY_STATUS[Number(Reflect.get(error, 'code'))] ?? { code: 'unavailable', transient: true };
}
