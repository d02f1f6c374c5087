import type { Kysely } from 'kysely';
import type { ScheduleMemory, ScheduleRecord } from '../schedule/scheduler.ts';
import type { StoreSchema } from './schema.ts';
import { storeError } from './store-error.ts';

/**
 * What the store `file` remembers of the schedule with this node id. Each change is one statement that decides and
 * records at once, so that of several processes one gets each fire.
 */
export function createScheduleMemory(db: Kysely<StoreSchema>, file: string, node: string): ScheduleMemory {
  const guarded = async <T>(query: () => Promise<T>): Promise<T> => {
    try {
      return await query();
    } catch (thrown) {
      throw storeError(thrown, file);
    }
  };
  const change = (columns: { handled_at?: string; paused?: 0 | 1 }) =>
    guarded(async () => {
      await db.updateTable('schedules').set(columns).where('node', '=', node).execute();
    });
  return {
    open: (timetable, now) => guarded(() => openRecord(db, node, timetable, now)),
    claim: (at) => guarded(() => claimFire(db, node, at)),
    restart: (now) => change({ handled_at: timeOf(now) }),
    pause: () => change({ paused: 1 }),
    resume: (now) => guarded(() => resume(db, node, now)),
  };
}

async function openRecord(
  db: Kysely<StoreSchema>,
  node: string,
  timetable: string,
  now: number,
): Promise<ScheduleRecord> {
  const found = await db.selectFrom('schedules').selectAll().where('node', '=', node).executeTakeFirst();
  // Reading alone shall not wait for other processes that write.
  if (found?.timetable === timetable) return recordOf(found);
  const kept = await db
    .insertInto('schedules')
    .values({ node, timetable, handled_at: timeOf(now), paused: 0 })
    .onConflict((conflict) =>
      conflict
        .column('node')
        .doUpdateSet({ timetable, handled_at: timeOf(now) })
        .where('schedules.timetable', '!=', timetable),
    )
    .returningAll()
    .executeTakeFirst();
  if (kept !== undefined) return recordOf(kept);
  // Another process was faster.
  const theirs = await db
    .selectFrom('schedules')
    .selectAll()
    .where('node', '=', node)
    .executeTakeFirstOrThrow();
  return recordOf(theirs);
}

function recordOf(row: { handled_at: string; paused: 0 | 1 }): ScheduleRecord {
  return { handled: Date.parse(row.handled_at), paused: row.paused === 1 };
}

/** Records that every fire up to `at` is dealt with. False when another process has done so, or has paused it. */
export async function claimFire(db: Kysely<StoreSchema>, node: string, at: number): Promise<boolean> {
  const claimed = await db
    .updateTable('schedules')
    .set({ handled_at: timeOf(at) })
    .where('node', '=', node)
    .where('handled_at', '<', timeOf(at))
    .where('paused', '=', 0)
    .executeTakeFirst();
  return claimed.numUpdatedRows > 0n;
}

/** A clock that has gone back meanwhile makes nothing come again. */
async function resume(db: Kysely<StoreSchema>, node: string, now: number): Promise<void> {
  await db
    .updateTable('schedules')
    .set((columns) => ({
      paused: 0,
      handled_at: columns
        .case()
        .when('handled_at', '<', timeOf(now))
        .then(timeOf(now))
        .else(columns.ref('handled_at'))
        .end(),
    }))
    .where('node', '=', node)
    .execute();
}

function timeOf(at: number): string {
  return new Date(at).toISOString();
}
