import { extname } from 'node:path';
import type { ErrorCode } from '../../errors.ts';
import type { SqliteOptions } from './options.ts';

/**
 * What the host process asks of the child process that alone opens database files. Several copies of
 * SQLite in one process drop each other's locks when one of them closes the file
 * (https://sqlite.org/howtocorrupt.html, 2.2), and the host may hold others: Node-RED's sqlite nodes,
 * node:sqlite. One child serves one request and ends.
 */
export type SqliteRequest = ProbeRequest | DumpRequest | VerifyRequest | AskRequest | LockRequest;

export interface ProbeRequest {
  readonly task: 'probe';
  readonly files: readonly string[];
  readonly busyTimeoutMs: number;
}

export interface DumpRequest {
  readonly task: 'dump';
  readonly file: string;
  readonly method: SqliteOptions['method'];
  readonly pagesPerStep: number;
  readonly busyTimeoutMs: number;
  readonly walGrowthBytes: number;
  readonly countRows: boolean;
  /** Private folder to create for temporary files; the host removes it. */
  readonly spoolFolder: string;
}

/** What the host tells the child while it takes the bytes of a dump. */
export type HostSignal =
  /** The file of the ready reply is open here and has lost its name. */
  | 'opened'
  /** One more block of the ring was read and may be overwritten. */
  | 'taken';

/** Number of blocks in the ring file through which a dump passes from the child to the host. */
export const RING_SLOTS = 8;

/** Checks a restored file thoroughly, before it becomes the database. */
export interface VerifyRequest {
  readonly task: 'verify';
  readonly file: string;
}

/** Asks a restored file by statements that read. */
export interface AskRequest {
  readonly task: 'ask';
  readonly file: string;
  readonly statements: readonly string[];
}

/**
 * Takes the exclusive lock on a database and holds it until the child is killed, so that the file can be
 * replaced under its name.
 */
export interface LockRequest {
  readonly task: 'lock';
  readonly file: string;
  readonly busyTimeoutMs: number;
  /** `replace` also moves the write-ahead log into the file, which then is the whole database. */
  readonly purpose: 'check' | 'replace';
}

export type SqliteReply =
  | FailedReply
  | ProbedReply
  | ReadyReply
  | BlockReply
  | CheckedReply
  | AnsweredReply
  | LockedReply;

export interface FailedReply {
  readonly type: 'failed';
  readonly code: ErrorCode;
  readonly message: string;
  readonly transient: boolean;
}

export interface ProbedReply {
  readonly type: 'probed';
  readonly version: string;
  readonly files: readonly ProbedFile[];
}

export interface ProbedFile {
  readonly file: string;
  readonly bytes: number;
  readonly problem?: { readonly code: ErrorCode; readonly message: string; readonly transient: boolean };
}

/** The moment to dump is fixed: `pages * pageSize` bytes will come, by way of a file in the spool folder. */
export interface ReadyReply {
  readonly type: 'ready';
  readonly pages: number;
  readonly pageSize: number;
  readonly version: string;
  readonly file: string;
  /**
   * `spool`: the file is the whole dump. `ring`: it passes through the file, block `n` at slot `n % RING_SLOTS`;
   * a small file is a pipe with large blocks, at a fraction of a pipe's cost.
   */
  readonly layout: 'spool' | 'ring';
}

/** One more block is in the ring. */
export interface BlockReply {
  readonly type: 'block';
}

/** The consistency check passed and, in a dump, every byte was put out. */
export interface CheckedReply {
  readonly type: 'checked';
  readonly inspection: Inspection;
  /** True when a temporary copy of the database, or of its end, was written. */
  readonly spooled: boolean;
}

export interface AnsweredReply {
  readonly type: 'answered';
  /** One for each statement: the first value of its first row; neither when there is no row. */
  readonly answers: readonly ({ readonly value?: string | null } | { readonly error: string })[];
}

export interface LockedReply {
  readonly type: 'locked';
  /** Why SQLite cannot lock it, when the file is no readable database: nobody can use it then. */
  readonly unreadable?: string;
}

/** What was found in a database that passed its check. */
export interface Inspection {
  readonly pages: number;
  readonly pageSize: number;
  readonly userVersion: number;
  readonly applicationId: number;
  readonly encoding: string;
  readonly journalMode: string;
  readonly version: string;
  /** Rows of each ordinary table, when counting was asked for. */
  readonly rows?: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
}

/** A module beside this one, as source or compiled, whichever is running. */
export function siblingModule(name: string): URL {
  return new URL(`./${name}${extname(new URL(import.meta.url).pathname)}`, import.meta.url);
}
