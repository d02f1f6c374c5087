import type { RecordedError, RunRecord } from '../store/history.ts';
import type { EndDetails, PriorRuns } from './run-details.ts';
import type { EventError } from './run-event.ts';

/** The end of a run whose process died, as far as the history knows it. */
export function interruptedDetails(run: RunRecord, prior: PriorRuns): EndDetails {
  const finishedAt = run.finishedAt ?? run.openedAt;
  return {
    job: run.job,
    runId: run.id,
    openedAt: run.openedAt,
    finishedAt,
    durationSeconds: Math.max(0, Date.parse(finishedAt) - Date.parse(run.openedAt)) / 1000,
    rawBytes: run.rawBytes ?? 0,
    databases: run.artifacts.map(({ database, node, error }) => ({
      name: database,
      node,
      status: error === null ? 'ok' : 'failed',
      ...errorField(error),
    })),
    destinations: run.destinations.map(({ label, node, error, set }) => ({
      label,
      node,
      status: set?.status ?? 'failed',
      ...(set === null ? {} : { storage: set.storage, path: set.path, storedBytes: set.storedBytes }),
      attempts: 1,
      verified: false,
      healed: set?.healed === true,
      ...errorField(error),
    })),
    ...errorField(run.error),
    ...prior,
  };
}

/** The same may well succeed the next time. */
function errorField(error: RecordedError | null): { error?: EventError } {
  return error === null ? {} : { error: { ...error, transient: error.code === 'aborted' } };
}
