import type { Kysely } from 'kysely';
import type { StoreSchema } from './schema.ts';

/** States that show whether a job works. */
const TELLING = ['succeeded', 'partial', 'failed'] as const;

/** How the runs of a job ended that came before one of them. Times are ISO 8601 in UTC. */
export interface PriorRun {
  /** The last one, leaving out cancelled and skipped ones. */
  readonly previous?: {
    readonly runId: string;
    readonly state: (typeof TELLING)[number];
    readonly finishedAt: string;
  };
  readonly lastSuccessAt?: string;
}

/** @param finishedAt when the run with this id ended; those that ended later do not count */
export async function queryPriorRun(
  db: Kysely<StoreSchema>,
  job: string,
  runId: string,
  finishedAt: Date,
): Promise<PriorRun> {
  const before = db
    .selectFrom('runs')
    .where('job', '=', job)
    .where('id', '!=', runId)
    .where('finished_at', 'is not', null)
    .where('finished_at', '<=', finishedAt.toISOString())
    .orderBy('finished_at', 'desc')
    .orderBy('id', 'desc')
    .select(['id', 'state', 'finished_at'])
    .limit(1);
  const last = await before.where('state', 'in', [...TELLING]).executeTakeFirst();
  if (last === undefined) return {};
  const success =
    last.state === 'succeeded' ? last : await before.where('state', '=', 'succeeded').executeTakeFirst();
  const state = TELLING.find((telling) => telling === last.state);
  return {
    ...(state === undefined || last.finished_at === null
      ? {}
      : { previous: { runId: last.id, state, finishedAt: last.finished_at } }),
    ...(success === undefined || success.finished_at === null ? {} : { lastSuccessAt: success.finished_at }),
  };
}
