import { join, resolve } from 'node:path';
import { z } from 'zod';
import { DEFAULT_LIMITS, type RetryLimits } from '../lib/engine/retries.ts';
import { BackupError } from '../lib/errors.ts';
import { MOST_AT_A_TIME } from '../lib/queue/limits.ts';
import { DEAD_LETTER_AFTER } from '../lib/runs/jobs.ts';
import { MAX_SHUTDOWN_SECONDS, SHUTDOWN_MODES } from '../lib/runs/shutdown.ts';
import { HISTORY_DAYS, HISTORY_RUNS, LEASE_SECONDS } from '../lib/store/limits.ts';

const HOUR_MS = 3_600_000;
const DEFAULT_SWEEP_HOURS = 24;
const MIB = 1024 * 1024;
const DEFAULT_MIN_FREE_MIB = 1024;
/** A pebibyte: more is a mistake. */
const MAX_MIN_FREE_MIB = 2 ** 30;
/** Failures in a row: more is a mistake. */
const MAX_DEAD_LETTER_AFTER = 10_000;
/** Ten years: more is a mistake. */
const MAX_SWEEP_HOURS = 87_600;

/** `dbackup` in settings.js: docs/runner.md lists it. */
export const packageSettings = z.strictObject({
  /** Folder of the history and the key vault. */
  dataDir: z.string().min(1).optional(),
  /** URL of the PostgreSQL database that the history is kept in; SQLite in the data directory without it. */
  store: z.string().min(1).optional(),
  /** How many days the history keeps runs; 0: for ever. */
  historyDays: z.number().int().min(0).max(HISTORY_DAYS.most).optional(),
  /** How many runs of each job it keeps; 0: all. */
  historyRuns: z.number().int().min(0).max(HISTORY_RUNS.most).optional(),
  /** How long a process that shares that database may be silent before the others take it for dead. */
  leaseSeconds: z.number().int().min(LEASE_SECONDS.least).max(LEASE_SECONDS.most).optional(),
  /** How long a message of a run may stay inside one node before the run begins without it. */
  planningSeconds: z.number().positive().optional(),
  /** How often a destination is tried in one run that fails with passing errors, the first time included. */
  destinationAttempts: z.number().int().min(1).max(100).optional(),
  /** How often a database is dumped in one run. */
  databaseAttempts: z.number().int().min(1).max(100).optional(),
  /** Longest pause before a second attempt; it doubles with each further one. */
  retrySeconds: z.number().min(0).max(3600).optional(),
  /** How many runs may go on at a time. */
  concurrency: z.number().int().min(1).max(MOST_AT_A_TIME).optional(),
  /** How many of them on one database server. */
  perServer: z.number().int().min(1).max(MOST_AT_A_TIME).optional(),
  /** What becomes of running backups when the process is told to end. */
  shutdown: z.enum(SHUTDOWN_MODES).optional(),
  /** How long that may take. */
  shutdownSeconds: z.number().positive().max(MAX_SHUTDOWN_SECONDS).optional(),
  /** False: schedule nodes of this Node-RED fire only when a person or a message tells them to. */
  schedules: z.boolean().optional(),
  /** Failures in a row after which a job runs no more by itself; 0: never. */
  deadLetterAfter: z.number().int().min(0).max(MAX_DEAD_LETTER_AFTER).optional(),
  /** How long what interrupted runs have left in a storage stays there; 0 for ever. */
  sweepAfterHours: z.number().nonnegative().max(MAX_SWEEP_HOURS).optional(),
  /** Free space that each destination must have for `readyz` to pass; 0: none. */
  minFreeMiB: z.number().nonnegative().max(MAX_MIN_FREE_MIB).optional(),
});

export type PackageSettings = z.infer<typeof packageSettings>;

/**
 * Reads `dbackup` of settings.js.
 * @throws BackupError `invalid-config` that names the wrong setting
 */
export function readPackageSettings(value: unknown): PackageSettings {
  const parsed = packageSettings.safeParse(value ?? {});
  if (parsed.success) return parsed.data;
  const problem = z.prettifyError(parsed.error).replaceAll('\n', ' ');
  throw new BackupError('invalid-config', `"dbackup" in settings.js is not valid: ${problem}`);
}

/** What the engine tries again, as far as settings.js says something about it. */
export function retryLimits(settings: PackageSettings): Partial<RetryLimits> {
  const { destinationAttempts, databaseAttempts, retrySeconds } = settings;
  const { longestMs } = DEFAULT_LIMITS.pauses;
  const firstMs = (retrySeconds ?? 0) * 1000;
  return {
    ...(destinationAttempts === undefined ? {} : { destinationAttempts }),
    ...(databaseAttempts === undefined ? {} : { databaseAttempts }),
    ...(retrySeconds === undefined ? {} : { pauses: { firstMs, longestMs: Math.max(firstMs, longestMs) } }),
  };
}

/** The data directory: `DBACKUP_DATA`, else as settings.js says, else beside Node-RED's own files. */
export function dataDirectory(settings: PackageSettings, userDir: string | undefined): string {
  const fromEnvironment = process.env.DBACKUP_DATA;
  if (fromEnvironment !== undefined && fromEnvironment !== '') return resolve(fromEnvironment);
  return resolve(settings.dataDir ?? join(userDir ?? '.', 'dbackup'));
}

/**
 * How long what interrupted runs have left in a storage must have been quiet before it is removed, in ms:
 * `DBACKUP_SWEEP_AFTER_HOURS`, else as settings.js says, else a day. 0 removes nothing.
 * @throws BackupError `invalid-config`
 */
export function sweepGraceMs(
  { sweepAfterHours = DEFAULT_SWEEP_HOURS }: PackageSettings,
  env: Readonly<Record<string, string | undefined>>,
): number {
  const text = env.DBACKUP_SWEEP_AFTER_HOURS?.trim() ?? '';
  if (text === '') return sweepAfterHours * HOUR_MS;
  const hours = Number(text);
  if (/^\d*\.?\d+$/.test(text) && hours <= MAX_SWEEP_HOURS) return hours * HOUR_MS;
  throw new BackupError(
    'invalid-config',
    `DBACKUP_SWEEP_AFTER_HOURS is ${JSON.stringify(text)}: give it a number of hours, as 24 or 0.5, or 0 to sweep nothing`,
  );
}

/**
 * Free bytes that each destination must have for DBackup to be ready: `DBACKUP_MIN_FREE_MIB`, else as settings.js
 * says, else 1 GiB. 0 asks for none.
 * @throws BackupError `invalid-config`
 */
export function leastFreeBytes(
  { minFreeMiB = DEFAULT_MIN_FREE_MIB }: PackageSettings,
  env: Readonly<Record<string, string | undefined>>,
): number {
  const text = env.DBACKUP_MIN_FREE_MIB?.trim() ?? '';
  if (text === '') return minFreeMiB * MIB;
  const mebibytes = Number(text);
  if (/^\d*\.?\d+$/.test(text) && mebibytes <= MAX_MIN_FREE_MIB) return mebibytes * MIB;
  throw new BackupError(
    'invalid-config',
    `DBACKUP_MIN_FREE_MIB is ${JSON.stringify(text)}: give it a number of mebibytes, as 1024, or 0 to ask for none`,
  );
}

/**
 * Failures in a row after which a job runs no more by itself: `DBACKUP_DEAD_LETTER_AFTER`, else as settings.js says, else
 * 3. 0: never.
 * @throws BackupError `invalid-config`
 */
export function failuresUntilDeadLetter(
  { deadLetterAfter = DEAD_LETTER_AFTER }: PackageSettings,
  env: Readonly<Record<string, string | undefined>>,
): number {
  const text = env.DBACKUP_DEAD_LETTER_AFTER?.trim() ?? '';
  if (text === '') return deadLetterAfter;
  const failures = Number(text);
  if (/^\d+$/.test(text) && failures <= MAX_DEAD_LETTER_AFTER) return failures;
  throw new BackupError(
    'invalid-config',
    `DBACKUP_DEAD_LETTER_AFTER is ${JSON.stringify(text)}: give it a number of failures in a row, as 3, or 0 to go on for ever`,
  );
}
