import type { Kysely } from 'kysely';
import type { RunFate } from '../backupset/orphans.ts';
import { isActiveState } from '../runs/states.ts';
import type { StoreSchema } from './schema.ts';

/** SQLite takes so many parameters in one statement at least. */
const BATCH = 500;

/**
 * What the history knows of runs. One that has not ended is active: its process lives, or died after the store was
 * opened here. One that failed or was cancelled is dead once its process is gone as well, since a commit that
 * nobody waits for any more may come late. All others, those that have stored a set, and those that are not known,
 * are left out.
 */
export async function queryFates(
  db: Kysely<StoreSchema>,
  runIds: readonly string[],
): Promise<ReadonlyMap<string, RunFate>> {
  const fates = new Map<string, RunFate>();
  for (let start = 0; start < runIds.length; start += BATCH) {
    const rows = await db
      .selectFrom('runs')
      .innerJoin('instances', 'instances.id', 'runs.instance')
      .select(['runs.id', 'runs.state', 'instances.ended_at'])
      .where('runs.id', 'in', runIds.slice(start, start + BATCH))
      .where(({ exists, not, selectFrom }) =>
        not(exists(selectFrom('sets').select('sets.id').whereRef('sets.run', '=', 'runs.id'))),
      )
      .execute();
    for (const { id, state, ended_at } of rows) {
      const isDead = (state === 'failed' || state === 'cancelled') && ended_at !== null;
      if (isActiveState(state)) fates.set(id, 'active');
      else if (isDead) fates.set(id, 'dead');
    }
  }
  return fates;
}
