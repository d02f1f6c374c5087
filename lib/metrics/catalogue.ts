/** One metric as it is exported and documented. */
export interface MetricSpec {
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds of a histogram's buckets, in its unit. */
  readonly buckets?: readonly number[];
}

const SECONDS = [1, 5, 15, 60, 300, 900, 3600, 3 * 3600, 12 * 3600, 24 * 3600];
const BYTES = [1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13];

/**
 * Every metric by its name; docs/metrics.md lists the same. The label is not `job`, which Prometheus gives to each target.
 */
export const METRICS = {
  dbackup_build_info: {
    type: 'gauge',
    help: 'Always 1; its labels tell the versions of DBackup and Node.js',
    labels: ['version', 'node_version'],
  },
  dbackup_ready: {
    type: 'gauge',
    help: 'Whether the readiness check passes: 1 or 0',
    labels: [],
  },
  dbackup_runs_active: {
    type: 'gauge',
    help: 'Runs that have not ended, by their state',
    labels: ['state'],
  },
  dbackup_queue_depth: {
    type: 'gauge',
    help: 'Runs that wait for their turn',
    labels: [],
  },
  dbackup_queue_wait_seconds: {
    type: 'histogram',
    help: 'How long runs waited for their turn',
    labels: ['backup_job'],
    buckets: SECONDS,
  },
  dbackup_runs_total: {
    type: 'counter',
    help: 'Runs that have ended, by how they ended',
    labels: ['backup_job', 'state'],
  },
  dbackup_run_duration_seconds: {
    type: 'histogram',
    help: 'Time from the opening of a run to its end',
    labels: ['backup_job'],
    buckets: SECONDS,
  },
  dbackup_run_raw_bytes: {
    type: 'histogram',
    help: 'Bytes dumped in a run that succeeded or was partial, before compression',
    labels: ['backup_job'],
    buckets: BYTES,
  },
  dbackup_job_last_run_timestamp_seconds: {
    type: 'gauge',
    help: 'When the last run of a job ended',
    labels: ['backup_job'],
  },
  dbackup_job_last_run_succeeded: {
    type: 'gauge',
    help: 'Whether the last run of a job succeeded: 1 or 0',
    labels: ['backup_job'],
  },
  dbackup_job_last_run_duration_seconds: {
    type: 'gauge',
    help: 'How long the last run of a job took',
    labels: ['backup_job'],
  },
  dbackup_job_last_run_raw_bytes: {
    type: 'gauge',
    help: 'Bytes dumped in the last run of a job, before compression',
    labels: ['backup_job'],
  },
  dbackup_job_last_success_timestamp_seconds: {
    type: 'gauge',
    help: 'When the last run of a job that succeeded ended; absent when none has',
    labels: ['backup_job'],
  },
  dbackup_job_state: {
    type: 'gauge',
    help: 'Whether a job of the flow is healthy, failing or dead-lettered: 1 for the state that it is in, else 0',
    labels: ['backup_job', 'state'],
  },
  dbackup_dead_letters_total: {
    type: 'counter',
    help: 'How often a job was dead-lettered by this process',
    labels: ['backup_job'],
  },
  dbackup_runs_skipped_total: {
    type: 'counter',
    help: 'Runs that were due and not begun, by why: overlap, dead-lettered or taken-over',
    labels: ['backup_job', 'reason'],
  },
  dbackup_databases_failed_total: {
    type: 'counter',
    help: 'Databases that could not be dumped',
    labels: ['backup_job'],
  },
  dbackup_retries_total: {
    type: 'counter',
    help: 'Pauses after which a database or a destination was tried again',
    labels: ['backup_job'],
  },
  dbackup_destination_attempts_total: {
    type: 'counter',
    help: 'Attempts to store a set in a destination, first ones included',
    labels: ['backup_job', 'destination'],
  },
  dbackup_destination_failures_total: {
    type: 'counter',
    help: 'Runs in which a destination stored no set, or one that does not hold',
    labels: ['backup_job', 'destination'],
  },
  dbackup_destination_raw_bytes_total: {
    type: 'counter',
    help: 'Bytes of committed sets before compression',
    labels: ['backup_job', 'destination'],
  },
  dbackup_destination_stored_bytes_total: {
    type: 'counter',
    help: 'Bytes of committed sets as they are stored',
    labels: ['backup_job', 'destination'],
  },
  dbackup_destination_free_bytes: {
    type: 'gauge',
    help: 'Free space of a destination; absent where its storage does not tell',
    labels: ['destination'],
  },
  dbackup_notifications_total: {
    type: 'counter',
    help: 'Notifications by what became of them; one that is tried several times counts once',
    labels: ['channel', 'outcome'],
  },
  dbackup_schedule_next_fire_timestamp_seconds: {
    type: 'gauge',
    help: 'When a schedule fires next; absent while it is paused or failed',
    labels: ['schedule'],
  },
  dbackup_schedule_lag_seconds: {
    type: 'gauge',
    help: 'How much later than planned a schedule fired last, or how long a fire is waiting now',
    labels: ['schedule'],
  },
  dbackup_schedule_paused: {
    type: 'gauge',
    help: 'Whether a schedule is paused: 1 or 0',
    labels: ['schedule'],
  },
} as const satisfies Readonly<Record<string, MetricSpec>>;

export type MetricName = keyof typeof METRICS;
