import { randomBytes } from 'node:crypto';
import { type BackupError, type ErrorCode, toBackupError } from '../errors.ts';
import type { RestoreTarget, TableRows } from './driver.ts';

/** A database that is restored for a test, looked into, and dropped. Whoever opens one drops it, whatever happens. */
export interface ScratchDatabase {
  /** Where it is, for people. */
  readonly place: string;
  /** What the dump is restored into, once. */
  readonly target: RestoreTarget;
  /**
   * Looks into the restored database, without changing it.
   * @throws BackupError when it cannot be looked at; an answer that is an error is none
   */
  examine(questions: ScratchQuestions, signal: AbortSignal): Promise<ScratchFindings>;
  /**
   * Removes everything of it, by a way of its own: also after an abort, or when its connection broke.
   * @throws BackupError that names what is left over
   */
  drop(): Promise<void>;
}

export interface ScratchQuestions {
  /** Names of tables, as `TableRows` has them. */
  readonly tables: readonly string[];
  /** SQL that reads; each answers with one value. */
  readonly statements: readonly string[];
}

export interface ScratchFindings {
  /** Those of the tables that are there, and whose rows are those of a dump. */
  readonly rows: readonly TableRows[];
  readonly missing: readonly string[];
  /** One for each statement. */
  readonly answers: readonly ScratchAnswer[];
}

/** The first value of the first row as a text, null as it is, undefined for no row. */
export type ScratchAnswer = { readonly value: string | null | undefined } | { readonly error: BackupError };

/** What a server could not do, whatever the statement and the data are. */
const NO_ANSWER: readonly ErrorCode[] = ['aborted', 'permission', 'no-space', 'stalled'];

/**
 * The answer to a statement that failed.
 * @throws BackupError when that says nothing about the data: a disk that is full, a connection that broke
 */
export function failedAnswer(thrown: unknown): ScratchAnswer {
  const error = toBackupError(thrown);
  if (error.transient || NO_ANSWER.includes(error.code)) throw error;
  return { error };
}

/** What is older was left over by a killed process, in ms. */
const LEFTOVER_MS = 24 * 60 * 60_000;
const NAME = /^dbackup_verify_(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)_[0-9a-f]{8}(?:_restoring_[0-9a-f]{8})?$/;

/** A new name for a database on a server: `dbackup_verify_<UTC time>_<random>`. */
export function scratchName(now = new Date()): string {
  const time = now.toISOString().slice(0, 19).replaceAll(/\D/g, '');
  return `dbackup_verify_${time}_${randomBytes(4).toString('hex')}`;
}

/** Of these databases, those that test restores have left over: their names tell since when they are there. */
export function leftoverScratches(names: readonly string[], now = new Date()): string[] {
  return names.filter((name) => {
    const [year, month, day, hour, minute, second] = NAME.exec(name)?.slice(1) ?? [];
    if (year === undefined) return false;
    const made = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
    return now.getTime() - made > LEFTOVER_MS;
  });
}
