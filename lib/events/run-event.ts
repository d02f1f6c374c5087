import type { BackupError, ErrorCode } from '../errors.ts';

/**
 * What happens to backups, as people and programs are told of it: plain JSON without secrets. The names and fields are
 * a public format (docs/events.md): they are added to, and never change their meaning. Times are ISO 8601 in UTC, sizes
 * are bytes, durations are seconds.
 */
export const EVENT_NAMES = [
  'started',
  'progress',
  'succeeded',
  'partial',
  'failed',
  'cancelled',
  'recovered',
  'dead-lettered',
  'skipped',
  'verification-failed',
  'anomaly',
  'storage-threshold',
  'prune-refused',
  'schedule-missed',
] as const;

export type EventName = (typeof EVENT_NAMES)[number];

/** From the least to the worst. */
export const SEVERITIES = ['info', 'warning', 'error'] as const;

export type Severity = (typeof SEVERITIES)[number];

/** What every event has. */
export interface EventHead {
  /** When it happened. */
  readonly at: string;
  readonly severity: Severity;
  /** What happened, in one line of English. */
  readonly summary: string;
}

export interface EventError {
  readonly code: ErrorCode;
  readonly message: string;
  /** True when trying the same again later may succeed. */
  readonly transient: boolean;
}

export interface EventDatabase {
  readonly name: string;
  /** Id of the source node. */
  readonly node: string;
  readonly status: 'ok' | 'failed';
  /** As it was dumped, before compression; absent when it is stored nowhere. */
  readonly rawBytes?: number;
  readonly error?: EventError;
}

export interface EventDestination {
  /** Name of the destination node, else its type. */
  readonly label: string;
  /** Id of the destination node. */
  readonly node: string;
  /** `complete` and `partial` as the set's manifest says; `failed`: there is no set. */
  readonly status: 'complete' | 'partial' | 'failed';
  /** The storage, for people: `file:///backups`. */
  readonly storage?: string;
  /** The set below the storage's root and prefix. */
  readonly path?: string;
  readonly storedBytes?: number;
  /** How often it was tried. */
  readonly attempts: number;
  /** The set was read back after its commit, and every byte compared. */
  readonly verified: boolean;
  /** It was copied from another destination after its own way had failed. */
  readonly healed: boolean;
  /** Why there is no set; beside one: it is stored, but does not hold or could not be read back. */
  readonly error?: EventError;
}

/** What began a run, as far as that is known. */
export type EventTrigger = 'schedule' | 'catch-up' | 'manual' | 'message';

interface OfRun extends EventHead {
  readonly job: string;
  readonly runId: string;
  readonly trigger?: EventTrigger;
}

export interface StartedEvent extends OfRun {
  readonly event: 'started';
}

/** At most one a second of each run. */
export interface ProgressEvent extends OfRun {
  readonly event: 'progress';
  readonly stage: 'queued' | 'dumping' | 'committing' | 'healing' | 'verifying' | 'waiting';
  /** The database that is being dumped, or `3 databases`; empty before the first. */
  readonly database: string;
  /** How many databases have begun, and how many there are; 0 of 0 while that is not known. */
  readonly index: number;
  readonly count: number;
  readonly rawBytes: number;
  /** Raw bytes that will come, when the source knows. */
  readonly expectedBytes?: number;
  /** From 0 to 100, when the source knows how much comes. */
  readonly percent?: number;
  /** Raw bytes per second. */
  readonly rate: number;
  readonly etaSeconds?: number;
  /** Place in the queue, from 1, in the stage `queued`. */
  readonly position?: number;
  /** What the stage `waiting` waits for. */
  readonly retry?: { readonly attempt: number; readonly attempts: number; readonly seconds: number };
  /** What each destination has taken. */
  readonly destinations: readonly { readonly node: string; readonly storedBytes: number }[];
}

/** How a run has ended. */
export interface RunDetails extends OfRun {
  readonly openedAt: string;
  readonly finishedAt: string;
  /** From the opening to the end, with its time in the queue. */
  readonly durationSeconds: number;
  /** Of the databases that are stored somewhere. */
  readonly rawBytes: number;
  readonly databases: readonly EventDatabase[];
  readonly destinations: readonly EventDestination[];
  /** Why it did not succeed: the run's own error, else the first of a database or destination. */
  readonly error?: EventError;
  /** How the job's last run before it ended, leaving out cancelled and skipped ones; absent when there is none. */
  readonly previous?: {
    readonly runId: string;
    readonly state: 'succeeded' | 'partial' | 'failed';
    readonly finishedAt: string;
  };
  /** When a run of the job last succeeded before it; absent when none is remembered. */
  readonly lastSuccessAt?: string;
}

export interface EndedEvent extends RunDetails {
  readonly event: 'succeeded' | 'partial' | 'failed' | 'cancelled';
}

/** The first success of a job after one or more runs that did not succeed. Comes after `succeeded`. */
export interface RecoveredEvent extends RunDetails {
  readonly event: 'recovered';
}

/** A job has failed so often that it is run no more by itself. */
export interface DeadLetteredEvent extends EventHead {
  readonly event: 'dead-lettered';
  readonly job: string;
  readonly runId?: string;
  /** Failures since the last success. */
  readonly failures: number;
  /** The errors of these failures, the newest first, as far as they are remembered. */
  readonly errors: readonly { readonly runId: string; readonly at: string; readonly error: EventError }[];
}

/** A run was due and not begun. */
export interface SkippedEvent extends EventHead {
  readonly event: 'skipped';
  readonly job: string;
  readonly runId?: string;
  /**
   * `overlap`: an earlier run still goes on. `dead-lettered`: see there. `taken-over`: the fire of a schedule that
   * processes share is another one's by now. `paused`: a person has paused the job.
   */
  readonly reason: 'overlap' | 'dead-lettered' | 'taken-over' | 'paused';
  readonly trigger?: EventTrigger;
}

/** A set that is stored does not hold what it must. */
export interface VerificationFailedEvent extends EventHead {
  readonly event: 'verification-failed';
  readonly job: string;
  readonly runId?: string;
  readonly storage: string;
  readonly path: string;
  /** How deep it was looked at: `manifest`, `hash`, `content`, `restore`. */
  readonly level: string;
  readonly error: EventError;
  /** Each thing that is wrong, in a line. */
  readonly problems: readonly string[];
}

/** A backup that is stored is not as the ones before it, or there has been none for too long. */
export interface AnomalyEvent extends EventHead {
  readonly event: 'anomaly';
  readonly job: string;
  /** Absent when there is no backup at all. */
  readonly runId?: string;
  /** Where it is stored. */
  readonly storage?: string;
  readonly path?: string;
  readonly findings: readonly {
    /** What is unusual: `size`, `rows`, `databases`, `duration`, `age`… */
    readonly kind: string;
    readonly message: string;
    readonly database?: string;
    readonly table?: string;
    readonly value?: number;
    readonly expected?: number;
  }[];
}

/** A storage has less free space than it must have, or has enough again. */
export interface StorageThresholdEvent extends EventHead {
  readonly event: 'storage-threshold';
  readonly storage: string;
  readonly crossed: 'below' | 'above';
  readonly freeBytes: number;
  readonly thresholdBytes: number;
  /** Destination nodes that store there. */
  readonly destinations: readonly { readonly node: string; readonly label: string }[];
}

/** Old sets were not removed, since that was not safe. */
export interface PruneRefusedEvent extends EventHead {
  readonly event: 'prune-refused';
  readonly job: string;
  readonly storage: string;
  readonly error: EventError;
  /** Paths of the sets that stay, when the refusal is about some of them only. */
  readonly sets?: readonly string[];
}

/** Fires of a schedule were missed and are not made up for. */
export interface ScheduleMissedEvent extends EventHead {
  readonly event: 'schedule-missed';
  /** Name of the schedule node, else its type and id. */
  readonly schedule: string;
  /** Id of the schedule node. */
  readonly node: string;
  /** The jobs that it begins, as far as its flow shows them. */
  readonly jobs: readonly string[];
  /** The last fire that was missed. */
  readonly plannedFor: string;
  /** How many were missed; 1000 for that many or more. */
  readonly count: number;
}

export type BackupEvent =
  | StartedEvent
  | ProgressEvent
  | EndedEvent
  | RecoveredEvent
  | DeadLetteredEvent
  | SkippedEvent
  | VerificationFailedEvent
  | AnomalyEvent
  | StorageThresholdEvent
  | PruneRefusedEvent
  | ScheduleMissedEvent;

type WithoutHead<Event> = Event extends BackupEvent
  ? Omit<Event, 'at' | 'severity'> & { readonly at?: string }
  : never;

/** An event as it is told: the bus adds its severity, and the time when it has none. */
export type ToldEvent = WithoutHead<BackupEvent>;

const SEVERITY: Readonly<Record<EventName, Severity>> = {
  started: 'info',
  progress: 'info',
  succeeded: 'info',
  partial: 'warning',
  failed: 'error',
  cancelled: 'warning',
  recovered: 'info',
  'dead-lettered': 'error',
  skipped: 'warning',
  'verification-failed': 'error',
  anomaly: 'warning',
  'storage-threshold': 'warning',
  'prune-refused': 'warning',
  'schedule-missed': 'warning',
};

/** How bad an event is. A storage that has enough space again is good news. */
export function severityOf(told: ToldEvent): Severity {
  if (told.event === 'storage-threshold' && told.crossed === 'above') return 'info';
  return SEVERITY[told.event];
}

/** The jobs that an event is about; undefined for one about a storage. */
export function jobsOf(event: BackupEvent): readonly string[] | undefined {
  if ('job' in event) return [event.job];
  return 'jobs' in event ? event.jobs : undefined;
}

/** Whether one severity is at least as bad as another. */
export function isAtLeast(severity: Severity, least: Severity): boolean {
  return SEVERITIES.indexOf(severity) >= SEVERITIES.indexOf(least);
}

/** An error as an event has it. */
export function eventError({ code, message, transient }: BackupError): EventError {
  return { code, message, transient };
}
