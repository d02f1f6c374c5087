import type { Kysely } from 'kysely';
import { ACTIVE_STATES } from '../runs/states.ts';
import { isPresent, sweepPresence } from './presence.ts';
import type { StoreSchema } from './schema.ts';

/**
 * Marks the runs of processes that died as failed. Runs of a process that still lives, here or in another
 * container, are not touched.
 * @returns ids of the runs that were marked
 */
export async function failInterruptedRuns(
  db: Kysely<StoreSchema>,
  dataDir: string,
  self: string,
): Promise<string[]> {
  const others = await db
    .selectFrom('instances')
    .select(['id', 'host', 'pid'])
    .where('ended_at', 'is', null)
    .where('id', '!=', self)
    .execute();
  const failed: string[] = [];
  const alive = new Set([self]);
  for (const instance of others) {
    if (isPresent(dataDir, instance.id)) {
      alive.add(instance.id);
      continue;
    }
    const cause = `The process that ran it (pid ${instance.pid} on ${instance.host}) ended before the run did`;
    failed.push(...(await endInstance(db, instance.id, cause)));
  }
  sweepPresence(dataDir, alive);
  return failed;
}

/** Notes the end of an instance; whatever it still had under way is failed with that cause. */
export async function endInstance(
  db: Kysely<StoreSchema>,
  instance: string,
  cause: string,
): Promise<string[]> {
  const now = new Date().toISOString();
  return db.transaction().execute(async (tx) => {
    const runs = await tx
      .updateTable('runs')
      .set({ state: 'failed', finished_at: now, error_code: 'aborted', error_message: cause })
      .where('instance', '=', instance)
      .where('state', 'in', [...ACTIVE_STATES])
      .returning('id')
      .execute();
    await tx.updateTable('instances').set({ ended_at: now }).where('id', '=', instance).execute();
    return runs.map((run) => run.id);
  });
}
