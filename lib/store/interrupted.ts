import type { Kysely } from 'kysely';
import { ACTIVE_STATES } from '../runs/states.ts';
import type { DeadInstance, Liveness } from './backend.ts';
import type { StoreSchema } from './schema.ts';

/** Longer than clocks of hosts differ, and than a living process needs to take its runs back, in ms. */
const FORGOTTEN_MS = 600_000;

/** A run whose process ended before it did; it is marked as failed. */
export interface InterruptedRun {
  readonly id: string;
  readonly job: string;
  /** What it was last known to do; null when it had not begun. */
  readonly stage: string | null;
  readonly message: string;
}

/**
 * Marks the runs of processes that died as failed. Runs of a process that still lives, here or in another
 * container, are not touched.
 * @param now by the clock of this host
 */
export async function failInterruptedRuns(
  db: Kysely<StoreSchema>,
  liveness: Liveness,
  self: string,
  now: Date,
): Promise<InterruptedRun[]> {
  const failed: InterruptedRun[] = [];
  for (const instance of await liveness.findDead(self)) {
    failed.push(...(await buryInstance(db, liveness, instance, now)));
  }
  for (const instance of await findForgotten(db, now)) {
    failed.push(...(await failRuns(db, instance.id, causeOf(instance), now)));
  }
  return failed;
}

/** Instances that have ended long ago, and began a run after others had taken them for dead. */
async function findForgotten(db: Kysely<StoreSchema>, now: Date): Promise<DeadInstance[]> {
  return await db
    .selectFrom('runs')
    .innerJoin('instances', 'instances.id', 'runs.instance')
    .select(['instances.id', 'instances.host', 'instances.pid'])
    .distinct()
    .where('runs.state', 'in', [...ACTIVE_STATES])
    .where('instances.ended_at', '<', new Date(now.getTime() - FORGOTTEN_MS).toISOString())
    .execute();
}

async function buryInstance(
  db: Kysely<StoreSchema>,
  liveness: Liveness,
  instance: DeadInstance,
  now: Date,
): Promise<InterruptedRun[]> {
  return await db.transaction().execute(async (tx) => {
    if (!(await liveness.bury(tx, instance.id))) return [];
    return await failRuns(tx, instance.id, causeOf(instance), now);
  });
}

function causeOf({ host, pid }: DeadInstance): string {
  return `The process that ran it (pid ${pid} on ${host}) ended before the run did`;
}

/** Notes the end of this instance; whatever it still has under way is failed with that cause. */
export async function endInstance(
  db: Kysely<StoreSchema>,
  instance: string,
  cause: string,
  now: Date,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx
      .updateTable('instances')
      .set({ ended_at: now.toISOString() })
      .where('id', '=', instance)
      .where('ended_at', 'is', null)
      .execute();
    await failRuns(tx, instance, cause, now);
  });
}

async function failRuns(
  db: Kysely<StoreSchema>,
  instance: string,
  cause: string,
  now: Date,
): Promise<InterruptedRun[]> {
  const runs = await db
    .selectFrom('runs')
    .select(['id', 'job', 'stage'])
    .where('instance', '=', instance)
    .where('state', 'in', [...ACTIVE_STATES])
    .execute();
  const failed: InterruptedRun[] = [];
  for (const run of runs) {
    const message = messageOf(cause, run.stage);
    const { numUpdatedRows } = await db
      .updateTable('runs')
      .set({
        state: 'failed',
        finished_at: now.toISOString(),
        error_code: 'aborted',
        error_message: message,
      })
      .where('id', '=', run.id)
      // It may have ended meanwhile.
      .where('state', 'in', [...ACTIVE_STATES])
      .executeTakeFirst();
    if (numUpdatedRows > 0n) failed.push({ ...run, message });
  }
  return failed;
}

function messageOf(cause: string, stage: string | null): string {
  return stage === null ? cause : `${cause}; it was last seen ${stage}`;
}
