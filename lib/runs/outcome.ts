import type { Manifest } from '../backupset/manifest.ts';
import { BackupError } from '../errors.ts';
import type { RunNeeds } from '../plan/needs.ts';
import type { SetReference } from '../plan/recipe.ts';
import type { JobChange, SkippedRun } from './jobs.ts';
import type { FinalState, RunState } from './states.ts';

/** What a destination hands on after its sink has committed. */
export interface CommittedSet {
  readonly reference: SetReference;
  readonly manifest: Manifest;
  /** True when it was copied from a sibling after its own sink had failed. */
  readonly healed: boolean;
}

/** What is known of a run while it goes on, about the database that is being dumped, or those together. */
export interface RunProgress {
  readonly runId: string;
  readonly job: string;
  /** What the run is doing now; `dumping` as long as one of several databases is being dumped. */
  readonly stage: 'dumping' | 'committing' | 'healing' | 'verifying' | 'waiting';
  /** What the run waits for in the stage `waiting`. */
  readonly retry?: RetryProgress;
  /** Its name; `3 databases` when several are dumped at a time. */
  readonly database: string;
  /** How many databases of the run have begun, this one included. */
  readonly index: number;
  readonly count: number;
  /** Ids of every node of the run that shall show it. */
  readonly nodes: readonly string[];
  readonly rawBytes: number;
  /** Raw bytes that will come, when the source knows. */
  readonly expectedBytes?: number;
  /** Raw bytes per second, smoothed over the last seconds. */
  readonly rate: number;
  readonly etaSeconds?: number;
  /** Bytes that each destination has taken, by node id. */
  readonly storedBytes: Readonly<Record<string, number>>;
}

/** A run that waits for its turn. */
export interface QueuedRun {
  readonly runId: string;
  readonly job: string;
  /** Ids of every node of the run. */
  readonly nodes: readonly string[];
  /** Where it stands, from 1. */
  readonly position: number;
  /** How many wait. */
  readonly count: number;
  /** The database server that it waits for: `postgres://db:5432`; undefined when too many runs go on at all. */
  readonly server: string | undefined;
}

/** Something has failed, and is tried again in a moment. */
export interface RetryProgress {
  /** Ids of the nodes that it concerns: a source, or destinations. */
  readonly nodes: readonly string[];
  /** The one that comes, from 2. */
  readonly attempt: number;
  /** How many there may be in all. */
  readonly attempts: number;
  /** Until it begins. */
  readonly seconds: number;
}

export interface ArtifactOutcome {
  readonly node: string;
  readonly database: string;
  readonly error?: BackupError;
}

export interface DestinationOutcome {
  readonly node: string;
  readonly label: string;
  readonly set?: CommittedSet;
  /** Why there is no set; beside one: it is stored, but does not hold or could not be read back. */
  readonly error?: BackupError;
  /** How often it was tried, when that was more than once. */
  readonly attempts?: number;
  /** The set was read back after its commit, and every byte compared. */
  readonly verified?: true;
}

/**
 * What a destination is told that failed in a run which succeeded without it: nothing to raise an alarm for.
 */
export class SpareDestinationError extends BackupError {
  constructor(error: BackupError) {
    super(error.code, error.message, { transient: error.transient, cause: error });
  }
}

/**
 * How a run ended. `succeeded`: every database is at as many destinations as the run needs. `partial`: some are missing
 * somewhere, or too few copies hold. `failed`: nothing is stored, or no copy holds. `cancelled`: it was ended before its
 * work was done; what a destination had committed by then is complete and stays, as its outcome says.
 */
export interface RunResult {
  readonly runId: string;
  readonly job: string;
  readonly state: FinalState;
  /** What it needed of its destinations; absent: all of them. */
  readonly needs?: RunNeeds;
  readonly openedAt: Date;
  readonly finishedAt: Date;
  readonly rawBytes: number;
  readonly artifacts: readonly ArtifactOutcome[];
  readonly destinations: readonly DestinationOutcome[];
  /** Why the run as a whole ended, when it is not one artifact's or destination's fault alone. */
  readonly error?: BackupError;
}

/** A line for people about a run; `node` is the node that it concerns. */
export interface RunNotice {
  readonly runId: string;
  readonly level: 'info' | 'warn' | 'error';
  readonly message: string;
  readonly node?: string;
}

/** A set that was read back. */
export interface VerifiedSet {
  readonly runId: string;
  readonly job: string;
  /** Id of the destination node. */
  readonly node: string;
  /** The storage, for people: `file:///backups`. */
  readonly storage: string;
  /** Folder of the set below the storage's root. */
  readonly path: string;
  /** Why it does not hold, if so. */
  readonly error?: BackupError;
}

/** Events of the engine, for node status, the terminal and the store. */
export interface EngineEvents {
  state: [{ runId: string; job: string; state: RunState; nodes: readonly string[] }];
  /** A run has to wait, or stands elsewhere in the queue than before. */
  queued: [QueuedRun];
  progress: [RunProgress];
  notice: [RunNotice];
  /** One database failed while the run goes on (R4). */
  artifactFailed: [{ runId: string; node: string; database: string; error: BackupError }];
  /** A copy that a run needs was read back, with a verdict. */
  setVerified: [VerifiedSet];
  finished: [RunResult];
  /** A job has entered another state; after the `finished` of the run that brought it about. */
  jobChanged: [JobChange];
  /** A run was due and not begun. */
  runSkipped: [SkippedRun];
}
