import type { Generated, Kysely } from 'kysely';
import type { Severity } from '../events/run-event.ts';
import type { ContentEvent } from '../notifiers/content.ts';
import type { ChannelName, Delivery } from '../notifiers/notifier.ts';
import { columnTypes } from './column-types.ts';

/** How a job stands that fails, as the notifier with this node id has to know it. */
export interface NotificationStandingTable {
  node: string;
  job: string;
  level: number;
  since: string;
  told: 0 | 1;
  reminded_at: string;
  /** What was to be told last, as JSON. */
  content: string;
}

/** A line of the next digest of the notifier with this node id. */
export interface NotificationEntryTable {
  id: Generated<number>;
  node: string;
  at: string;
  event: ContentEvent;
  severity: Severity;
  job: string;
  summary: string;
}

/** What became of a notification of the notifier with this node id. */
export interface NotificationDeliveryTable {
  id: Generated<number>;
  node: string;
  at: string;
  channel: ChannelName;
  event: ContentEvent;
  job: string | null;
  title: string;
  status: Delivery['status'];
  attempts: number;
  response_id: string | null;
  error_message: string | null;
}

/** The tables of what notifiers remember. */
export async function createNotifications(db: Kysely<unknown>): Promise<void> {
  const { bigint, numbered } = columnTypes(db);
  await db.schema
    .createTable('notification_standings')
    .addColumn('node', 'text', (column) => column.notNull())
    .addColumn('job', 'text', (column) => column.notNull())
    .addColumn('level', 'integer', (column) => column.notNull())
    .addColumn('since', 'text', (column) => column.notNull())
    .addColumn('told', 'integer', (column) => column.notNull())
    .addColumn('reminded_at', 'text', (column) => column.notNull())
    .addColumn('content', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('notification_standings_key', ['node', 'job'])
    .execute();
  await db.schema
    .createTable('notification_entries')
    .addColumn('id', bigint, numbered)
    .addColumn('node', 'text', (column) => column.notNull())
    .addColumn('at', 'text', (column) => column.notNull())
    .addColumn('event', 'text', (column) => column.notNull())
    .addColumn('severity', 'text', (column) => column.notNull())
    .addColumn('job', 'text', (column) => column.notNull())
    .addColumn('summary', 'text', (column) => column.notNull())
    .execute();
  await db.schema
    .createIndex('notification_entries_by_node')
    .on('notification_entries')
    .columns(['node', 'id'])
    .execute();
  await db.schema
    .createTable('notification_deliveries')
    .addColumn('id', bigint, numbered)
    .addColumn('node', 'text', (column) => column.notNull())
    .addColumn('at', 'text', (column) => column.notNull())
    .addColumn('channel', 'text', (column) => column.notNull())
    .addColumn('event', 'text', (column) => column.notNull())
    .addColumn('job', 'text')
    .addColumn('title', 'text', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('attempts', 'integer', (column) => column.notNull())
    .addColumn('response_id', 'text')
    .addColumn('error_message', 'text')
    .execute();
  await db.schema
    .createIndex('notification_deliveries_by_node')
    .on('notification_deliveries')
    .columns(['node', 'id'])
    .execute();
}
