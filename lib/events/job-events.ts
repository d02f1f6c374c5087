import { deadLetterText } from '../runs/dead-letter-text.ts';
import type { JobChange, SkippedRun } from '../runs/jobs.ts';
import type { ToldEvent } from './run-event.ts';
import { oneLine } from './summaries.ts';

/** A job has failed so often that no schedule begins it any more. */
export function deadLettered(change: JobChange): ToldEvent {
  const { job, runId, failures, at, errors } = change;
  return {
    event: 'dead-lettered',
    at: at.toISOString(),
    job,
    ...(runId === undefined ? {} : { runId }),
    failures,
    errors: errors.map(({ runId: failed, at: failedAt, code, message }) => ({
      runId: failed,
      at: failedAt,
      // The history does not keep what might pass: for the job as a whole it has not.
      error: { code, message, transient: false },
    })),
    summary: oneLine(deadLetterText(change)),
  };
}

/** A run was due and not begun. */
export function skipped({ job, runId, at, reason, message }: SkippedRun): ToldEvent {
  return { event: 'skipped', at: at.toISOString(), job, runId, reason, summary: oneLine(message) };
}
