import type { Kysely } from 'kysely';
import { queryRuns, type RunRecord } from './history.ts';
import type { StoreSchema } from './schema.ts';
import { queryVerifications, type RecordedVerification } from './verifications.ts';

/** All that the store knows of a run but its log. */
export interface RunDetails extends RunRecord {
  /** What it was last known to do: `dumping shop`. */
  readonly stage: string | null;
  /** Why somebody asked to end it. */
  readonly cancelReason: string | null;
  /** The process that ran it. */
  readonly process: {
    readonly host: string;
    readonly pid: number;
    readonly startedAt: string;
    /** Null while it lives, as far as is known. */
    readonly endedAt: string | null;
  };
  /** How its sets did when they were looked at, newest first. */
  readonly verifications: readonly RecordedVerification[];
}

/** Undefined when the store does not know the run. */
export async function queryRunDetails(db: Kysely<StoreSchema>, id: string): Promise<RunDetails | undefined> {
  const [record] = await queryRuns(db, { id, limit: 1 });
  const row = await db
    .selectFrom('runs')
    .innerJoin('instances', 'instances.id', 'runs.instance')
    .select(['runs.stage', 'runs.cancel_reason', 'instances.host', 'instances.pid'])
    .select(['instances.started_at as process_started_at', 'instances.ended_at'])
    .where('runs.id', '=', id)
    .executeTakeFirst();
  if (record === undefined || row === undefined) return undefined;
  const { stage, cancel_reason, host, pid, process_started_at, ended_at } = row;
  return {
    ...record,
    stage,
    cancelReason: cancel_reason,
    process: { host, pid, startedAt: process_started_at, endedAt: ended_at },
    verifications: await queryVerifications(db, { run: id }),
  };
}
