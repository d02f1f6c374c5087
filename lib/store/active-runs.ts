import type { Kysely } from 'kysely';
import { ACTIVE_STATES, type RunState } from '../runs/states.ts';
import type { StoreSchema } from './schema.ts';

/** A run that has not ended, of whichever process. Times are ISO 8601 in UTC. */
export interface RecordedActiveRun {
  readonly id: string;
  readonly job: string;
  readonly state: RunState;
  readonly openedAt: string;
  /** Null before its turn has come. */
  readonly startedAt: string | null;
  /** What it was last known to do: `dumping shop`. */
  readonly stage: string | null;
  /** Why somebody has asked to end it. */
  readonly cancelReason: string | null;
  /** The process that runs it. */
  readonly host: string;
  readonly pid: number;
}

/** Runs that go on, and those that wait, oldest first. */
export async function queryActiveRuns(db: Kysely<StoreSchema>): Promise<RecordedActiveRun[]> {
  const rows = await db
    .selectFrom('runs')
    .innerJoin('instances', 'instances.id', 'runs.instance')
    .select(['runs.id', 'runs.job', 'runs.state', 'runs.opened_at', 'runs.started_at', 'runs.stage'])
    .select(['runs.cancel_reason', 'instances.host', 'instances.pid'])
    .where('runs.state', 'in', [...ACTIVE_STATES])
    .orderBy('runs.opened_at')
    .orderBy('runs.id')
    .execute();
  return rows.map((row) => ({
    id: row.id,
    job: row.job,
    state: row.state,
    openedAt: row.opened_at,
    startedAt: row.started_at,
    stage: row.stage,
    cancelReason: row.cancel_reason,
    host: row.host,
    pid: row.pid,
  }));
}
