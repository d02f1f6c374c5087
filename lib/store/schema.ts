import type { Generated } from 'kysely';
import type { ErrorCode } from '../errors.ts';
import type { RunState } from '../runs/outcome.ts';

/** The store's tables. Times are ISO 8601 in UTC, sizes are bytes, flags are 0 or 1. */
export interface StoreSchema {
  instances: InstanceTable;
  runs: RunTable;
  artifacts: ArtifactTable;
  destinations: DestinationTable;
  sets: SetTable;
  schedules: ScheduleTable;
}

/** One process that has this store open, or had it. */
export interface InstanceTable {
  id: string;
  host: string;
  pid: number;
  started_at: string;
  /** Null while the process lives, as far as is known. */
  ended_at: string | null;
}

interface ErrorColumns {
  error_code: ErrorCode | null;
  error_message: string | null;
}

export interface RunTable extends ErrorColumns {
  id: string;
  instance: string;
  job: string;
  state: RunState;
  opened_at: string;
  started_at: string | null;
  finished_at: string | null;
  raw_bytes: number | null;
}

/** One database of a run. */
export interface ArtifactTable extends ErrorColumns {
  run: string;
  node: string;
  database: string;
}

/** One destination of a run. */
export interface DestinationTable extends ErrorColumns {
  run: string;
  node: string;
  label: string;
}

/** One committed backup set. */
export interface SetTable {
  id: Generated<number>;
  run: string;
  node: string;
  storage: string;
  /** Below the storage's root and prefix. */
  path: string;
  status: 'complete' | 'partial';
  healed: 0 | 1;
  raw_bytes: number;
  stored_bytes: number;
}

/** What is known of a schedule across restarts. */
export interface ScheduleTable {
  /** Id of its node. */
  node: string;
  /** Expression and time zone that the rest was recorded for. */
  timetable: string;
  /** Every fire up to this time is dealt with. */
  handled_at: string;
  paused: 0 | 1;
}
