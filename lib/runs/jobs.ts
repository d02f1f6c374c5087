import type { ErrorCode } from '../errors.ts';
import type { JobState } from './job-states.ts';
import type { FinalState } from './states.ts';

/** Failures in a row after which a job is dead-lettered, unless a setting says otherwise. */
export const DEAD_LETTER_AFTER = 3;

/** How a job stands. */
export interface JobStanding {
  readonly state: JobState;
  /** Failed runs since the last success, or since somebody put it back. */
  readonly failures: number;
}

/** What happens to a job: a run of it ends, or somebody puts it back. */
export type JobOccurrence = FinalState | 'requeued';

/** A job of which nothing is known. */
export const NEW_JOB: JobStanding = { state: 'healthy', failures: 0 };

/**
 * How a job stands after something has happened to it.
 *
 * A partial run changes nothing. It is no failure: were it counted, one broken database would end the backups of all
 * those beside it. Nor is it a success: it shows not that the job works. A cancelled run shows neither.
 * @param deadLetterAfter failures in a row after which the job runs no more by itself; 0: never
 */
export function nextStanding(
  standing: JobStanding,
  occurrence: JobOccurrence,
  deadLetterAfter: number,
): JobStanding {
  switch (occurrence) {
    case 'succeeded':
    case 'requeued':
      return NEW_JOB;
    case 'partial':
    case 'cancelled':
      return standing;
    case 'failed': {
      const failures = standing.failures + 1;
      return { state: failedState(standing.state, failures, deadLetterAfter), failures };
    }
  }
}

/** Only a success or a person brings a dead letter back; a limit that was raised meanwhile does not. */
function failedState(state: JobState, failures: number, deadLetterAfter: number): JobState {
  if (deadLetterAfter === 0) return 'failing';
  return state === 'dead-lettered' || failures >= deadLetterAfter ? 'dead-lettered' : 'failing';
}

/** A failed run of a job. */
export interface JobFailure {
  readonly runId: string;
  /** When it ended. */
  readonly at: string;
  readonly code: ErrorCode;
  /** Its own error, else those of its databases and destinations. */
  readonly message: string;
}

/** A job has entered another state. */
export interface JobChange {
  readonly job: string;
  readonly from: JobState;
  /** `healthy` also when it was discarded: it begins anew when it runs again. */
  readonly to: JobState;
  readonly cause: 'succeeded' | 'failed' | 'requeued' | 'discarded';
  /** Failures in a row: those that have brought it there, or that are over now. */
  readonly failures: number;
  readonly at: Date;
  /** The run whose end it was. */
  readonly runId?: string;
  /** Failed runs of a job that is `dead-lettered` now, the newest first, as far as they are remembered. */
  readonly errors: readonly JobFailure[];
}

/** Why a run that was due was not begun. */
export const SKIP_REASONS = ['overlap', 'dead-lettered', 'taken-over'] as const;

export type SkipReason = (typeof SKIP_REASONS)[number];

/** A run that was due and not begun. */
export interface SkippedRun {
  /** It stands in the history by that id. */
  readonly runId: string;
  readonly job: string;
  readonly at: Date;
  readonly reason: SkipReason;
  /** The same for people, and what to do about it. */
  readonly message: string;
  /** Ids of the nodes that it concerns. */
  readonly nodes: readonly string[];
}
