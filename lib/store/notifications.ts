import type { Kysely, Selectable } from 'kysely';
import type { NotificationContent } from '../notifiers/content.ts';
import type { DeliveryRecord, DigestEntry, NotificationMemory } from '../notifiers/memory.ts';
import type { Standing } from '../notifiers/policy.ts';
import type { NotificationStandingTable } from './notification-tables.ts';
import type { StoreSchema } from './schema.ts';
import { storeError } from './store-error.ts';

/** Deliveries that are kept of each notifier. */
const KEPT_DELIVERIES = 100;
/** Lines that a digest tells at most; the oldest are left out. */
const MOST_ENTRIES = 5000;

/** What the store `where` remembers of the notifier with this node id. */
export function createNotificationMemory(
  db: Kysely<StoreSchema>,
  where: string,
  node: string,
): NotificationMemory {
  const guarded = async <T>(query: () => Promise<T>): Promise<T> => {
    try {
      return await query();
    } catch (thrown) {
      throw storeError(thrown, where);
    }
  };
  return {
    standing: (job) => guarded(() => findStanding(db, node, job)),
    standings: () => guarded(() => listStandings(db, node)),
    keep: (job, standing) => guarded(() => keepStanding(db, node, job, standing)),
    told: (job, at) => guarded(() => markTold(db, node, job, at)),
    remind: (job, before, now) => guarded(() => claimReminder(db, node, job, before, now)),
    collect: (entry) => guarded(() => insertEntry(db, node, entry)),
    collected: () => guarded(() => listEntries(db, node)),
    clear: (last) => guarded(() => deleteEntries(db, node, last)),
    record: (delivery) => guarded(() => insertDelivery(db, node, delivery)),
    deliveries: (limit) => guarded(() => listDeliveries(db, node, limit)),
  };
}

async function findStanding(
  db: Kysely<StoreSchema>,
  node: string,
  job: string,
): Promise<Standing | undefined> {
  const row = await db
    .selectFrom('notification_standings')
    .selectAll()
    .where('node', '=', node)
    .where('job', '=', job)
    .executeTakeFirst();
  return row === undefined ? undefined : standingOf(row);
}

async function listStandings(db: Kysely<StoreSchema>, node: string) {
  const rows = await db
    .selectFrom('notification_standings')
    .selectAll()
    .where('node', '=', node)
    .orderBy('job')
    .execute();
  return rows.map((row) => ({ job: row.job, ...standingOf(row) }));
}

async function keepStanding(
  db: Kysely<StoreSchema>,
  node: string,
  job: string,
  standing: Standing | undefined,
): Promise<void> {
  if (standing === undefined) {
    await db.deleteFrom('notification_standings').where('node', '=', node).where('job', '=', job).execute();
    return;
  }
  const { level, since, told, remindedAt, last } = standing;
  const columns = {
    level,
    since,
    told: told ? (1 as const) : (0 as const),
    reminded_at: remindedAt,
    content: JSON.stringify(last),
  };
  await db
    .insertInto('notification_standings')
    .values({ node, job, ...columns })
    .onConflict((conflict) => conflict.columns(['node', 'job']).doUpdateSet(columns))
    .execute();
}

async function markTold(db: Kysely<StoreSchema>, node: string, job: string, at: string): Promise<void> {
  await db
    .updateTable('notification_standings')
    .set({ told: 1, reminded_at: at })
    .where('node', '=', node)
    .where('job', '=', job)
    .execute();
}

/** One statement that decides and records at once, so that of several processes one reminds. */
async function claimReminder(
  db: Kysely<StoreSchema>,
  node: string,
  job: string,
  before: string,
  now: string,
): Promise<boolean> {
  const claimed = await db
    .updateTable('notification_standings')
    .set({ reminded_at: now })
    .where('node', '=', node)
    .where('job', '=', job)
    .where('reminded_at', '=', before)
    .executeTakeFirst();
  return claimed.numUpdatedRows > 0n;
}

async function insertEntry(db: Kysely<StoreSchema>, node: string, entry: DigestEntry): Promise<void> {
  await db
    .insertInto('notification_entries')
    .values({ node, ...entry })
    .execute();
  // While digests cannot be delivered, nothing else removes them.
  const oldest = await db
    .selectFrom('notification_entries')
    .select('id')
    .where('node', '=', node)
    .orderBy('id', 'desc')
    .offset(MOST_ENTRIES)
    .limit(1)
    .executeTakeFirst();
  if (oldest !== undefined) await deleteEntries(db, node, Number(oldest.id));
}

async function listEntries(db: Kysely<StoreSchema>, node: string) {
  const rows = await db
    .selectFrom('notification_entries')
    .selectAll()
    .where('node', '=', node)
    .orderBy('id', 'desc')
    .limit(MOST_ENTRIES)
    .execute();
  const entries = rows
    .map(({ at, event, severity, job, summary }) => ({ at, event, severity, job, summary }))
    .reverse();
  return { entries, last: Number(rows[0]?.id ?? 0) };
}

async function deleteEntries(db: Kysely<StoreSchema>, node: string, last: number): Promise<void> {
  await db.deleteFrom('notification_entries').where('node', '=', node).where('id', '<=', last).execute();
}

async function insertDelivery(
  db: Kysely<StoreSchema>,
  node: string,
  delivery: DeliveryRecord,
): Promise<void> {
  const { responseId: response_id, error: error_message, ...columns } = delivery;
  await db
    .insertInto('notification_deliveries')
    .values({ node, ...columns, response_id, error_message })
    .execute();
  const oldest = await db
    .selectFrom('notification_deliveries')
    .select('id')
    .where('node', '=', node)
    .orderBy('id', 'desc')
    .offset(KEPT_DELIVERIES)
    .limit(1)
    .executeTakeFirst();
  if (oldest === undefined) return;
  await db
    .deleteFrom('notification_deliveries')
    .where('node', '=', node)
    .where('id', '<=', oldest.id)
    .execute();
}

async function listDeliveries(
  db: Kysely<StoreSchema>,
  node: string,
  limit: number,
): Promise<DeliveryRecord[]> {
  const rows = await db
    .selectFrom('notification_deliveries')
    .selectAll()
    .where('node', '=', node)
    .orderBy('id', 'desc')
    .limit(limit)
    .execute();
  return rows.map(({ id: _id, node: _node, response_id, error_message, ...delivery }) => ({
    ...delivery,
    responseId: response_id,
    error: error_message,
  }));
}

function standingOf(row: Selectable<NotificationStandingTable>): Standing {
  return {
    level: row.level,
    since: row.since,
    told: row.told === 1,
    remindedAt: row.reminded_at,
    last: JSON.parse(row.content) as NotificationContent,
  };
}
