import { BackupError } from '../errors.ts';
import type { ArtifactOutcome, FinalState, RunResult } from '../runs/outcome.ts';
import type { DestinationRun } from './destination-run.ts';
import type { SealedRun } from './planning-run.ts';

export interface RunFacts {
  readonly destinations: readonly DestinationRun[];
  readonly artifacts: readonly ArtifactOutcome[];
  readonly rawBytes: number;
  /** Why the run did not go through to its end. */
  readonly failure: BackupError | undefined;
  readonly cancelled: boolean;
}

/** Settles every destination and sums up the run, from what is really stored. */
export function concludeRun(run: SealedRun, facts: RunFacts): RunResult {
  const { destinations, artifacts, rawBytes, failure } = facts;
  const reason = failure ?? artifacts.find(({ error }) => error !== undefined)?.error;
  const otherwise = reason ?? new BackupError('internal', `Run ${run.id} stored nothing`);
  for (const destination of destinations) destination.settle(otherwise);
  const state = finalState(facts);
  return {
    runId: run.id,
    job: run.job,
    state,
    openedAt: run.openedAt,
    finishedAt: new Date(),
    rawBytes,
    artifacts,
    destinations: destinations.map(({ node, binding, committed, error }) => ({
      node,
      label: binding.label,
      ...(committed === undefined ? { error: error ?? otherwise } : { set: committed }),
    })),
    ...(failure === undefined || state === 'succeeded' ? {} : { error: failure }),
  };
}

/** The result of a run that ended before it could begin. */
export function refuseRun(run: SealedRun, error: BackupError, state: 'failed' | 'cancelled'): RunResult {
  for (const joined of run.joined) joined.settle(error);
  return {
    runId: run.id,
    job: run.job,
    state,
    openedAt: run.openedAt,
    finishedAt: new Date(),
    rawBytes: 0,
    artifacts: [],
    destinations: run.joined.map(({ binding }) => ({ node: binding.node, label: binding.label, error })),
    error,
  };
}

/**
 * What is committed stays, also when a run is cancelled afterwards: `cancelled` says that the run did not
 * do all of its work, and the destinations tell what there is. A cancellation that came too late to keep
 * anything from being done has cancelled nothing.
 */
function finalState({ destinations, artifacts, failure, cancelled }: RunFacts): FinalState {
  const stored = destinations.filter(({ committed }) => committed !== undefined).length;
  const all = stored === destinations.length && artifacts.every(({ error }) => error === undefined);
  if (stored > 0 && all) return 'succeeded';
  if (failure !== undefined && cancelled) return 'cancelled';
  return stored === 0 ? 'failed' : 'partial';
}
