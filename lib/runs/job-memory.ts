import type { JobState } from './job-states.ts';
import type { JobFailure, JobOccurrence, JobStanding } from './jobs.ts';
import type { RunState } from './states.ts';

/** A job as people see it: plain JSON. Times are ISO 8601 in UTC. */
export interface JobRecord extends JobStanding {
  readonly job: string;
  /** Since when it is in its state. */
  readonly since: string;
  /** Null when the history has none any more. */
  readonly lastRun: { readonly state: RunState; readonly finishedAt: string } | null;
  readonly lastSuccessAt: string | null;
  /** Failed runs, the newest first. */
  readonly errors: readonly JobFailure[];
}

export interface JobQuery {
  readonly job?: string;
  readonly state?: JobState;
  /** How many failed runs of each job; without it 5 of those that are not healthy. */
  readonly errors?: number;
}

export interface JobOccurred {
  readonly job: string;
  readonly occurrence: JobOccurrence;
  readonly at: Date;
  /** See `nextStanding`. */
  readonly deadLetterAfter: number;
}

/** How a job stood before something happened to it, and after it. */
export interface JobStep {
  readonly before: JobStanding;
  readonly after: JobStanding;
}

/** Where the standing of jobs is kept. Of several processes that share it, each counts on what the others have counted. */
export interface JobMemory {
  /** Records what has happened to a job, which becomes known by that. */
  record(occurred: JobOccurred): Promise<JobStep>;
  /** How a job stands; undefined for one that is not known. */
  find(job: string): Promise<(JobStanding & { readonly since: string }) | undefined>;
  /** How every job stands that is known. */
  standings(): Promise<ReadonlyMap<string, JobStanding>>;
  /** By name. */
  list(query?: JobQuery): Promise<JobRecord[]>;
  /** @throws BackupError `not-found` when it is not known */
  requeue(job: string, at: Date): Promise<JobStep>;
  /**
   * Forgets the job, and leaves the history of its runs as it is.
   * @throws BackupError `not-found` when it is not known
   */
  discard(job: string): Promise<JobStanding>;
}
