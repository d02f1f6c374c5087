import type { Kysely } from 'kysely';
import { type LogLevel, type LogLine, levelsFrom } from '../logs/log-line.ts';
import type { RunState } from '../runs/states.ts';
import type { StoreSchema } from './schema.ts';
import { storeError } from './store-error.ts';

/** Lines per statement: SQLite takes 999 values at least. */
const BATCH = 100;
/** Most lines of one answer. */
export const MAX_LOG_PAGE = 1000;

export interface LogQuery {
  /** The least level; all when absent. */
  readonly level?: LogLevel | undefined;
  /** Only lines after the one with this number. */
  readonly after?: number | undefined;
  /** At most so many, 1000 when absent or more. */
  readonly limit?: number | undefined;
}

export interface RecordedLine extends LogLine {
  /** Grows from line to line. */
  readonly number: number;
}

/** A run with lines of its log, the oldest first. */
export interface RunLogPage {
  readonly run: string;
  readonly job: string;
  /** When it is a final one, no line comes after the last of these pages. */
  readonly state: RunState;
  /** Why it ended so, when that is known of the run as a whole. */
  readonly error: string | null;
  readonly lines: readonly RecordedLine[];
}

/** Keeps lines of runs that the history knows. @throws BackupError when they cannot be kept */
export async function writeLines(
  db: Kysely<StoreSchema>,
  where: string,
  lines: readonly LogLine[],
): Promise<void> {
  try {
    await db.transaction().execute(async (tx) => {
      for (let start = 0; start < lines.length; start += BATCH) {
        const rows = lines.slice(start, start + BATCH);
        await tx
          .insertInto('logs')
          .values(rows.map(({ run, at, level, node, message }) => ({ run, at, level, node, message })))
          .execute();
      }
    });
  } catch (thrown) {
    throw storeError(thrown, where);
  }
}

/** Lines of a run's log; undefined when the history does not know the run. */
export async function queryLog(
  db: Kysely<StoreSchema>,
  run: string,
  { level = 'debug', after = 0, limit = MAX_LOG_PAGE }: LogQuery,
): Promise<RunLogPage | undefined> {
  // Its state first: a run that has ended by then has written all of its lines.
  const found = await db
    .selectFrom('runs')
    .select(['job', 'state', 'error_message as error'])
    .where('id', '=', run)
    .executeTakeFirst();
  if (found === undefined) return undefined;
  const rows = await db
    .selectFrom('logs')
    .select(['id', 'run', 'at', 'level', 'node', 'message'])
    .where('run', '=', run)
    .where('id', '>', after)
    .where('level', 'in', [...levelsFrom(level)])
    .orderBy('id')
    .limit(Math.min(limit, MAX_LOG_PAGE))
    .execute();
  return { run, ...found, lines: rows.map(({ id, ...line }) => ({ number: Number(id), ...line })) };
}
