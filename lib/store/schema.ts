import type { Generated } from 'kysely';
import type { ErrorCode } from '../errors.ts';
import type { JobState } from '../runs/job-states.ts';
import type { RunState } from '../runs/states.ts';
import type {
  NotificationDeliveryTable,
  NotificationEntryTable,
  NotificationStandingTable,
} from './notification-tables.ts';
import type { VerificationTable } from './verifications.ts';

/** The store's tables. Times are ISO 8601 in UTC, sizes are bytes, flags are 0 or 1. */
export interface StoreSchema {
  instances: InstanceTable;
  runs: RunTable;
  artifacts: ArtifactTable;
  destinations: DestinationTable;
  sets: SetTable;
  schedules: ScheduleTable;
  jobs: JobTable;
  logs: LogTable;
  verifications: VerificationTable;
  notification_standings: NotificationStandingTable;
  notification_entries: NotificationEntryTable;
  notification_deliveries: NotificationDeliveryTable;
}

/** One process that has this store open, or had it. */
export interface InstanceTable {
  id: string;
  host: string;
  pid: number;
  started_at: string;
  /** When the process last said that it lives; null of one that an older version has recorded. */
  heartbeat_at: string | null;
  /** How long it may be silent before it is dead; null where something else tells. */
  lease_ms: number | null;
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
  /** What it was last known to do, for one that died: `dumping shop`. */
  stage: string | null;
  /** Why somebody asked, perhaps in another process, to end it. */
  cancel_reason: string | null;
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

/** How the runs of a job have gone. */
export interface JobTable {
  job: string;
  state: JobState;
  /** Failures since the last success. */
  failures: number;
  changed_at: string;
}

/** One line of a run's log. */
export interface LogTable {
  id: Generated<number>;
  run: string;
  at: string;
  level: 'debug' | 'info' | 'warn' | 'error';
  /** Id of the node that it concerns. */
  node: string | null;
  message: string;
}
