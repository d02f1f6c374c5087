import { BackupError } from '../errors.ts';
import { needsField, type RunNeeds } from '../plan/needs.ts';
import type { ArtifactOutcome, DestinationOutcome, RunResult } from '../runs/outcome.ts';
import type { FinalState } from '../runs/states.ts';
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
export function concludeRun(run: SealedRun, facts: RunFacts, finishedAt: Date): RunResult {
  const { destinations, artifacts, rawBytes, failure } = facts;
  const reason = failure ?? artifacts.find(({ error }) => error !== undefined)?.error;
  const otherwise = reason ?? new BackupError('internal', `Run ${run.id} stored nothing`);
  const state = finalState(run.needs, facts);
  for (const destination of destinations) destination.settle(otherwise, state === 'succeeded');
  return {
    runId: run.id,
    job: run.job,
    state,
    ...needsField(run.needs),
    openedAt: run.openedAt,
    finishedAt,
    rawBytes,
    artifacts,
    destinations: destinations.map((destination) => outcomeOf(destination, otherwise)),
    ...(failure === undefined || state === 'succeeded' ? {} : { error: failure }),
  };
}

/** The result of a run that ended before it could begin. */
export function refuseRun(
  run: SealedRun,
  error: BackupError,
  state: 'failed' | 'cancelled',
  finishedAt: Date,
): RunResult {
  for (const joined of run.joined) joined.settle(error);
  return {
    runId: run.id,
    job: run.job,
    state,
    ...needsField(run.needs),
    openedAt: run.openedAt,
    finishedAt,
    rawBytes: 0,
    artifacts: [],
    destinations: run.joined.map(({ binding }) => ({
      node: binding.node,
      label: binding.label,
      error,
    })),
    error,
  };
}

function outcomeOf(destination: DestinationRun, otherwise: BackupError): DestinationOutcome {
  const { node, binding, committed, error, attempts, verified } = destination;
  return {
    node,
    label: binding.label,
    ...(committed === undefined ? { error: error ?? otherwise } : { set: committed }),
    ...(committed === undefined || error === undefined ? {} : { error }),
    ...(attempts > 1 ? { attempts } : {}),
    ...(verified ? { verified } : {}),
  };
}

/**
 * What is committed stays, also when a run is cancelled afterwards: `cancelled` says that the run did not
 * do all of its work, and the destinations tell what there is. A cancellation that came too late to keep
 * anything from being done has cancelled nothing.
 */
function finalState(needs: RunNeeds, facts: RunFacts): FinalState {
  const { destinations, artifacts, failure, cancelled } = facts;
  const counted = destinations.filter((destination) => counts(needs, destination));
  const whole = counted.filter(({ committed }) => committed?.manifest.status === 'complete').length;
  const dumped = artifacts.every(({ error }) => error === undefined);
  if (whole >= neededOf(needs, destinations.length) && dumped) return 'succeeded';
  if (failure !== undefined && cancelled) return 'cancelled';
  return counted.length === 0 ? 'failed' : 'partial';
}

function counts(needs: RunNeeds, { committed, error, verified }: DestinationRun): boolean {
  if (committed === undefined || error !== undefined) return false;
  return verified || needs.destinations !== 'copies';
}

/** How many destinations must hold the whole set. */
function neededOf(needs: RunNeeds, joined: number): number {
  switch (needs.destinations) {
    case 'all':
      return Math.max(1, joined);
    case 'any':
      return 1;
    case 'copies':
      return needs.copies;
  }
}
