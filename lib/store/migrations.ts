import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import { BackupError } from '../errors.ts';
import { columnTypes } from './column-types.ts';
import { createNotifications } from './notification-tables.ts';
import { createVerificationTable } from './verifications.ts';

export type Migrations = Readonly<Record<string, Migration>>;

/**
 * Every schema that a released version has written, as steps from one to the next. Names sort in the order
 * of their making; a released step is never changed.
 */
export const MIGRATIONS: Migrations = {
  '0001_history': { up: createHistory },
  '0002_schedules': { up: createSchedules },
  '0003_operations': { up: createOperations },
  '0004_verifications': { up: createVerificationTable },
  '0005_notifications': { up: createNotifications },
};

/** @param applied names of the steps that a store has gone, in their order */
export function isCurrent(applied: readonly string[], migrations: Migrations): boolean {
  return applied.join('\n') === Object.keys(migrations).sort().join('\n');
}

/** @throws BackupError `invalid-config` when a newer DBackup has written the store */
export function refuseNewer(applied: readonly string[], migrations: Migrations, store: string): void {
  const unknown = applied.filter((name) => !Object.hasOwn(migrations, name));
  if (unknown.length === 0) return;
  throw new BackupError(
    'invalid-config',
    `The store ${store} was written by a newer DBackup (schema ${unknown.join(', ')}): update this one, or give it a store of its own`,
  );
}

async function createHistory(db: Kysely<unknown>): Promise<void> {
  const { bigint, numbered } = columnTypes(db);
  await db.schema
    .createTable('instances')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('host', 'text', (column) => column.notNull())
    .addColumn('pid', 'integer', (column) => column.notNull())
    .addColumn('started_at', 'text', (column) => column.notNull())
    .addColumn('ended_at', 'text')
    .execute();
  await db.schema
    .createTable('runs')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('instance', 'text', (column) => column.notNull().references('instances.id'))
    .addColumn('job', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('opened_at', 'text', (column) => column.notNull())
    .addColumn('started_at', 'text')
    .addColumn('finished_at', 'text')
    .addColumn('raw_bytes', bigint)
    .addColumn('error_code', 'text')
    .addColumn('error_message', 'text')
    .execute();
  await db.schema.createIndex('runs_by_time').on('runs').column('opened_at').execute();
  await db.schema.createIndex('runs_by_job').on('runs').columns(['job', 'opened_at']).execute();
  await db.schema
    .createTable('artifacts')
    .addColumn('run', 'text', (column) => column.notNull().references('runs.id').onDelete('cascade'))
    .addColumn('node', 'text', (column) => column.notNull())
    .addColumn('database', 'text', (column) => column.notNull())
    .addColumn('error_code', 'text')
    .addColumn('error_message', 'text')
    .execute();
  await db.schema.createIndex('artifacts_by_run').on('artifacts').column('run').execute();
  await db.schema
    .createTable('destinations')
    .addColumn('run', 'text', (column) => column.notNull().references('runs.id').onDelete('cascade'))
    .addColumn('node', 'text', (column) => column.notNull())
    .addColumn('label', 'text', (column) => column.notNull())
    .addColumn('error_code', 'text')
    .addColumn('error_message', 'text')
    .addPrimaryKeyConstraint('destinations_key', ['run', 'node'])
    .execute();
  await db.schema
    .createTable('sets')
    .addColumn('id', bigint, numbered)
    .addColumn('run', 'text', (column) => column.notNull().references('runs.id').onDelete('cascade'))
    .addColumn('node', 'text', (column) => column.notNull())
    .addColumn('storage', 'text', (column) => column.notNull())
    .addColumn('path', 'text', (column) => column.notNull())
    .addColumn('status', 'text', (column) => column.notNull())
    .addColumn('healed', 'integer', (column) => column.notNull())
    .addColumn('raw_bytes', bigint, (column) => column.notNull())
    .addColumn('stored_bytes', bigint, (column) => column.notNull())
    .execute();
  await db.schema.createIndex('sets_by_run').on('sets').column('run').execute();
}

async function createSchedules(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('schedules')
    .addColumn('node', 'text', (column) => column.primaryKey())
    .addColumn('timetable', 'text', (column) => column.notNull())
    .addColumn('handled_at', 'text', (column) => column.notNull())
    .addColumn('paused', 'integer', (column) => column.notNull())
    .execute();
}

async function createOperations(db: Kysely<unknown>): Promise<void> {
  const { bigint, numbered } = columnTypes(db);
  await db.schema.alterTable('instances').addColumn('heartbeat_at', 'text').execute();
  await db.schema.alterTable('instances').addColumn('lease_ms', 'integer').execute();
  await db.schema.alterTable('runs').addColumn('stage', 'text').execute();
  await db.schema.alterTable('runs').addColumn('cancel_reason', 'text').execute();
  await db.schema.createIndex('runs_by_state').on('runs').columns(['state', 'instance']).execute();
  await db.schema.createIndex('runs_by_instance').on('runs').column('instance').execute();
  await db.schema
    .createTable('jobs')
    .addColumn('job', 'text', (column) => column.primaryKey())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('failures', 'integer', (column) => column.notNull())
    .addColumn('changed_at', 'text', (column) => column.notNull())
    .execute();
  await db.schema
    .createTable('logs')
    .addColumn('id', bigint, numbered)
    .addColumn('run', 'text', (column) => column.notNull().references('runs.id').onDelete('cascade'))
    .addColumn('at', 'text', (column) => column.notNull())
    .addColumn('level', 'text', (column) => column.notNull())
    .addColumn('node', 'text')
    .addColumn('message', 'text', (column) => column.notNull())
    .execute();
  await db.schema.createIndex('logs_by_run').on('logs').column('run').execute();
}
