import { setImmediate as turn } from 'node:timers/promises';
import { type Expression, type Kysely, type SqlBool, sql } from 'kysely';
import { ACTIVE_STATES } from '../runs/states.ts';
import type { StoreSchema } from './schema.ts';

const DAY_MS = 86_400_000;
/** Runs that are removed in one statement, with their logs: other work comes between two of them. */
const BATCH = 20;

/** How much of the history is kept. */
export interface HistoryLimits {
  /** Runs of the last so many days; 0: all. */
  readonly days: number;
  /** The newest so many runs of each job; 0: all. */
  readonly runs: number;
}

/**
 * Removes runs that are too old or too many, with all that is known of them. What is still under way stays, and of each
 * job the last run, the last that was not skipped and the last that succeeded, however old they are.
 * @returns how many runs were removed
 */
export async function pruneHistory(
  db: Kysely<StoreSchema>,
  limits: HistoryLimits,
  now: Date,
  signal: AbortSignal,
): Promise<number> {
  let removed = 0;
  if (limits.days > 0) {
    const oldest = new Date(now.getTime() - limits.days * DAY_MS).toISOString();
    removed += await removeRuns(db, signal, sql<SqlBool>`old.opened_at < ${oldest}`);
  }
  if (limits.runs > 0) removed += await removeSurplus(db, limits.runs, signal);
  await removeInstances(db, now);
  return removed;
}

async function removeSurplus(db: Kysely<StoreSchema>, limit: number, signal: AbortSignal): Promise<number> {
  const jobs = await db
    .selectFrom('runs')
    .select('job')
    .groupBy('job')
    .having((columns) => columns.fn.countAll<number>(), '>', limit)
    .execute();
  let removed = 0;
  for (const { job } of jobs) {
    const last = await db
      .selectFrom('runs')
      .select('opened_at')
      .where('job', '=', job)
      .orderBy('opened_at', 'desc')
      .orderBy('id', 'desc')
      .offset(limit - 1)
      .limit(1)
      .executeTakeFirst();
    if (last === undefined) continue;
    const isSurplus = sql<SqlBool>`old.job = ${job} and old.opened_at < ${last.opened_at}`;
    removed += await removeRuns(db, signal, isSurplus);
  }
  return removed;
}

async function removeRuns(
  db: Kysely<StoreSchema>,
  signal: AbortSignal,
  which: Expression<SqlBool>,
): Promise<number> {
  let removed = 0;
  while (!signal.aborted) {
    const ids = await removableRuns(db, which);
    if (ids.length === 0) break;
    await db.deleteFrom('runs').where('id', 'in', ids).execute();
    removed += ids.length;
    await turn();
  }
  return removed;
}

/** Some of those runs of which the history needs none. */
async function removableRuns(db: Kysely<StoreSchema>, which: Expression<SqlBool>): Promise<string[]> {
  const rows = await db
    .selectFrom('runs as old')
    .select('old.id')
    .where(which)
    .where('old.state', 'not in', [...ACTIVE_STATES])
    .where((outer) => {
      const newer = outer
        .selectFrom('runs as newer')
        .select('newer.id')
        .whereRef('newer.job', '=', 'old.job')
        .where(sql<SqlBool>`(newer.opened_at, newer.id) > (old.opened_at, old.id)`);
      return outer.and([
        outer.exists(newer),
        outer.or([
          outer('old.state', '=', 'skipped'),
          outer.exists(newer.where('newer.state', '!=', 'skipped')),
        ]),
        outer.or([
          outer('old.state', '!=', 'succeeded'),
          outer.exists(newer.where('newer.state', '=', 'succeeded')),
        ]),
      ]);
    })
    .orderBy('old.opened_at')
    .limit(BATCH)
    .execute();
  return rows.map(({ id }) => id);
}

/** Those that ended long ago: one that was taken for dead may still have a run to write down. */
async function removeInstances(db: Kysely<StoreSchema>, now: Date): Promise<void> {
  await db
    .deleteFrom('instances')
    .where('ended_at', '<', new Date(now.getTime() - DAY_MS).toISOString())
    .where((outer) =>
      outer.not(
        outer.exists(
          outer.selectFrom('runs').select('runs.id').whereRef('runs.instance', '=', 'instances.id'),
        ),
      ),
    )
    .execute();
}
