import { redact } from './logs/redact.ts';

/**
 * What went wrong, as a class of causes. A code never changes its meaning: nodes, exit codes and
 * retry decisions hang on it.
 */
export type ErrorCode =
  | 'invalid-config' // a setting, path, flow or argument is wrong; nothing was touched
  | 'not-found' // the named file, set, database or key does not exist
  | 'already-exists' // refusing to overwrite
  | 'permission' // the operating system or server refused access
  | 'no-space' // the disk or quota cannot take the data
  | 'unavailable' // a server, socket or tool cannot be reached or is missing
  | 'incomplete' // data ended early, or its proof of completeness failed
  | 'corrupt' // damaged, reordered or tampered bytes
  | 'wrong-key' // the key does not open this file
  | 'missing-key' // no key for this file is known here
  | 'stalled' // no progress within the allowed time
  | 'aborted' // cancelled by a person, a shutdown or a deadline
  | 'internal'; // a defect of ours

/**
 * An error that a person can act on: the message says what happened, to what, and what to do.
 * It never holds a secret: what others have said is looked through for those that are known.
 */
export class BackupError extends Error {
  readonly code: ErrorCode;
  /** True when trying the same again later may succeed. */
  readonly transient: boolean;

  constructor(code: ErrorCode, message: string, options: { transient?: boolean; cause?: unknown } = {}) {
    super(redact(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'BackupError';
    this.code = code;
    this.transient = options.transient ?? false;
  }
}

/** Turns anything thrown into a BackupError; keeps one that already is. */
export function toBackupError(thrown: unknown, context?: string): BackupError {
  if (thrown instanceof BackupError) return thrown;
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const message = context === undefined ? error.message : `${context}: ${error.message}`;
  if (error.name === 'AbortError') return new BackupError('aborted', message, { cause: error });
  return new BackupError(codeOf(error), message, { cause: error });
}

/**
 * A message that says what it is about, once: many say it already.
 * @param verb comes after the subject: `shop.sqlite failed: the disk is full`
 */
export function messageAbout(subject: string, message: string, verb = ''): string {
  const named = `${subject}: `;
  return `${subject}${verb}: ${message.startsWith(named) ? message.slice(named.length) : message}`;
}

/** The same error, saying what it is about: `shop.sqlite.zst.dbk: The .dbk file is cut off`. */
export function errorAbout(subject: string, thrown: unknown): BackupError {
  const { code, message, transient } = toBackupError(thrown);
  return new BackupError(code, messageAbout(subject, message), { transient, cause: thrown });
}

/** Throws the signal's reason as a BackupError when the signal is aborted. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal);
}

/** The error that an aborted signal stands for. */
export function abortError(signal: AbortSignal): BackupError {
  const reason: unknown = signal.reason;
  if (reason instanceof BackupError) return reason;
  return new BackupError('aborted', reason instanceof Error ? reason.message : 'The operation was aborted');
}

function codeOf(error: Error): ErrorCode {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return 'not-found';
    case 'EEXIST':
      return 'already-exists';
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return 'permission';
    case 'ENOSPC':
    case 'EDQUOT':
      return 'no-space';
    case 'ECONNREFUSED':
    case 'ECONNRESET':
    case 'ETIMEDOUT':
    case 'EPIPE':
      return 'unavailable';
    default:
      return 'internal';
  }
}
