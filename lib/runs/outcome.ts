import type { Manifest } from '../backupset/manifest.ts';
import type { BackupError } from '../errors.ts';
import type { SetReference } from '../plan/recipe.ts';

export type RunState = 'planning' | 'running' | 'succeeded' | 'partial' | 'failed' | 'cancelled';
/**
 * How a run ended. `succeeded`: every database is at every destination. `partial`: some are missing
 * somewhere. `failed`: nothing is stored. `cancelled`: it was ended before its work was done; what a
 * destination had committed by then is complete and stays, as its outcome says.
 */
export type FinalState = Exclude<RunState, 'planning' | 'running'>;

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
  readonly stage: 'dumping' | 'committing' | 'healing';
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

export interface ArtifactOutcome {
  readonly node: string;
  readonly database: string;
  readonly error?: BackupError;
}

export interface DestinationOutcome {
  readonly node: string;
  readonly label: string;
  readonly set?: CommittedSet;
  readonly error?: BackupError;
}

export interface RunResult {
  readonly runId: string;
  readonly job: string;
  readonly state: FinalState;
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

/** Events of the engine, for node status, the terminal and the store. */
export interface EngineEvents {
  state: [{ runId: string; job: string; state: RunState; nodes: readonly string[] }];
  progress: [RunProgress];
  notice: [RunNotice];
  /** One database failed while the run goes on (R4). */
  artifactFailed: [{ runId: string; node: string; database: string; error: BackupError }];
  finished: [RunResult];
}
