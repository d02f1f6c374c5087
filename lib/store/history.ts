import type { Kysely, Selectable } from 'kysely';
import type { ErrorCode } from '../errors.ts';
import type { RunState } from '../runs/states.ts';
import type { ArtifactTable, DestinationTable, RunTable, SetTable, StoreSchema } from './schema.ts';

export interface RunQuery {
  /** Only the run with this id. */
  readonly id?: string;
  /** Only this job. */
  readonly job?: string;
  /** Only runs in this state. */
  readonly state?: RunState;
  /** Only runs in one of these. */
  readonly states?: readonly RunState[];
  /** Only runs that were opened then or later; ISO 8601 in UTC. */
  readonly since?: string;
  /** Newest so many; 50 when absent. */
  readonly limit?: number;
}

/** A run as the store remembers it. Times are ISO 8601 in UTC. */
export interface RunRecord {
  readonly id: string;
  readonly job: string;
  readonly state: RunState;
  readonly openedAt: string;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly rawBytes: number | null;
  readonly error: RecordedError | null;
  readonly artifacts: readonly RecordedArtifact[];
  readonly destinations: readonly RecordedDestination[];
}

export interface RecordedError {
  readonly code: ErrorCode;
  readonly message: string;
}

export interface RecordedArtifact {
  readonly node: string;
  readonly database: string;
  readonly error: RecordedError | null;
}

export interface RecordedDestination {
  readonly node: string;
  readonly label: string;
  readonly error: RecordedError | null;
  readonly set: RecordedSet | null;
}

export interface RecordedSet {
  readonly storage: string;
  readonly path: string;
  readonly status: 'complete' | 'partial';
  readonly healed: boolean;
  readonly rawBytes: number;
  readonly storedBytes: number;
}

/** The newest runs first, with what became of each database and destination. */
export async function queryRuns(db: Kysely<StoreSchema>, query: RunQuery): Promise<RunRecord[]> {
  let select = db.selectFrom('runs').selectAll();
  if (query.id !== undefined) select = select.where('id', '=', query.id);
  if (query.job !== undefined) select = select.where('job', '=', query.job);
  if (query.state !== undefined) select = select.where('state', '=', query.state);
  if (query.states !== undefined) select = select.where('state', 'in', query.states);
  if (query.since !== undefined) select = select.where('opened_at', '>=', query.since);
  const runs = await select
    .orderBy('opened_at', 'desc')
    .orderBy('id', 'desc')
    .limit(query.limit ?? 50)
    .execute();
  const ids = runs.map((run) => run.id);
  const artifacts = await db.selectFrom('artifacts').selectAll().where('run', 'in', ids).execute();
  const destinations = await db.selectFrom('destinations').selectAll().where('run', 'in', ids).execute();
  const sets = await db.selectFrom('sets').selectAll().where('run', 'in', ids).execute();
  return runs.map((run) => ({
    ...runRecord(run),
    artifacts: artifacts.filter((artifact) => artifact.run === run.id).map(artifactRecord),
    destinations: destinations
      .filter((destination) => destination.run === run.id)
      .map((destination) => ({
        ...destinationRecord(destination),
        set: setRecord(sets.find((set) => set.run === run.id && set.node === destination.node)),
      })),
  }));
}

function runRecord(row: Selectable<RunTable>): Omit<RunRecord, 'artifacts' | 'destinations'> {
  return {
    id: row.id,
    job: row.job,
    state: row.state,
    openedAt: row.opened_at,
    startedAt: row.started_at,
    finishedAt: row.finished_at,
    rawBytes: row.raw_bytes,
    error: errorRecord(row),
  };
}

function artifactRecord(row: Selectable<ArtifactTable>): RecordedArtifact {
  return { node: row.node, database: row.database, error: errorRecord(row) };
}

function destinationRecord(row: Selectable<DestinationTable>): Omit<RecordedDestination, 'set'> {
  return { node: row.node, label: row.label, error: errorRecord(row) };
}

function setRecord(row: Selectable<SetTable> | undefined): RecordedSet | null {
  if (row === undefined) return null;
  return {
    storage: row.storage,
    path: row.path,
    status: row.status,
    healed: row.healed === 1,
    rawBytes: row.raw_bytes,
    storedBytes: row.stored_bytes,
  };
}

function errorRecord(row: {
  error_code: ErrorCode | null;
  error_message: string | null;
}): RecordedError | null {
  return row.error_code === null ? null : { code: row.error_code, message: row.error_message ?? '' };
}
