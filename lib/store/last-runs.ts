import type { Kysely } from 'kysely';
import type { RunState } from '../runs/states.ts';
import type { StoreSchema } from './schema.ts';

/** How a job's last run ended, and when one last succeeded. Times are ISO 8601 in UTC. */
export interface LastRun {
  readonly job: string;
  readonly state: RunState;
  readonly openedAt: string;
  readonly finishedAt: string;
  readonly rawBytes: number | null;
  /** Null when none has. */
  readonly succeededAt: string | null;
}

/** The last run of every job that has one which has ended. What was skipped was no run. */
export async function queryLastRuns(db: Kysely<StoreSchema>): Promise<LastRun[]> {
  const successes = await db
    .selectFrom('runs')
    .select((columns) => ['job', columns.fn.max('finished_at').as('succeeded_at')])
    .where('state', '=', 'succeeded')
    .groupBy('job')
    .execute();
  const latest = await db
    .selectFrom('runs')
    .innerJoin(
      (query) =>
        query
          .selectFrom('runs')
          .select((columns) => ['job', columns.fn.max('finished_at').as('finished_at')])
          .where('state', '!=', 'skipped')
          .groupBy('job')
          .as('latest'),
      (join) =>
        join.onRef('latest.job', '=', 'runs.job').onRef('latest.finished_at', '=', 'runs.finished_at'),
    )
    .select(['runs.job', 'runs.state', 'runs.opened_at', 'runs.finished_at', 'runs.raw_bytes'])
    .where('runs.state', '!=', 'skipped')
    .orderBy('runs.id')
    .execute();
  const succeededAt = new Map(successes.map((row) => [row.job, row.succeeded_at]));
  const byJob = new Map<string, LastRun>();
  for (const row of latest) {
    if (row.finished_at === null) continue;
    byJob.set(row.job, {
      job: row.job,
      state: row.state,
      openedAt: row.opened_at,
      finishedAt: row.finished_at,
      rawBytes: row.raw_bytes,
      succeededAt: succeededAt.get(row.job) ?? null,
    });
  }
  return [...byJob.values()];
}
