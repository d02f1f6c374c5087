import { isStored } from '../backupset/manifest.ts';
import type { BackupError } from '../errors.ts';
import type { ArtifactOutcome, DestinationOutcome, RunResult } from '../runs/outcome.ts';
import {
  type EventDatabase,
  type EventDestination,
  type EventTrigger,
  eventError,
  type RunDetails,
} from './run-event.ts';

/** What is known of a job's runs before one of them. */
export type PriorRuns = Pick<RunDetails, 'previous' | 'lastSuccessAt'>;

/** What an event tells of a run that has ended; `head` has no part in it. */
export type EndDetails = Omit<RunDetails, 'at' | 'severity' | 'summary'>;

/** The end of a run as its events tell of it. */
export function endDetails(
  result: RunResult,
  prior: PriorRuns,
  trigger: EventTrigger | undefined,
): EndDetails {
  const { runId, job, openedAt, finishedAt, rawBytes, artifacts, destinations } = result;
  const error = result.state === 'succeeded' ? undefined : errorOf(result);
  const bytes = rawBytesOf(destinations);
  return {
    job,
    runId,
    ...(trigger === undefined ? {} : { trigger }),
    openedAt: openedAt.toISOString(),
    finishedAt: finishedAt.toISOString(),
    durationSeconds: Math.max(0, finishedAt.getTime() - openedAt.getTime()) / 1000,
    rawBytes,
    databases: artifacts.map((artifact) => database(artifact, bytes)),
    destinations: destinations.map(destination),
    ...(error === undefined ? {} : { error: eventError(error) }),
    ...prior,
  };
}

/** Why a run did not succeed. */
export function errorOf({ error, artifacts, destinations }: RunResult): BackupError | undefined {
  return error ?? [...artifacts, ...destinations].find((part) => part.error !== undefined)?.error;
}

function database({ node, database: name, error }: ArtifactOutcome, bytes: ReadonlyMap<string, number>) {
  const rawBytes = bytes.get(`${node}\n${name}`);
  const entry: EventDatabase = {
    name,
    node,
    status: error === undefined ? 'ok' : 'failed',
    ...(rawBytes === undefined ? {} : { rawBytes }),
    ...(error === undefined ? {} : { error: eventError(error) }),
  };
  return entry;
}

/** Size of each database that is stored somewhere, by its source and name. */
function rawBytesOf(destinations: readonly DestinationOutcome[]): ReadonlyMap<string, number> {
  const stored = destinations.flatMap(({ set }) => set?.manifest.artifacts.filter(isStored) ?? []);
  return new Map(stored.map((artifact) => [`${artifact.node}\n${artifact.database}`, artifact.raw.bytes]));
}

function destination({ node, label, set, error, attempts, verified }: DestinationOutcome): EventDestination {
  return {
    label,
    node,
    status: set?.manifest.status ?? 'failed',
    ...(set === undefined ? {} : { storage: set.reference.storage, path: set.reference.path }),
    ...(set === undefined
      ? {}
      : { storedBytes: sum(set.manifest.artifacts.filter(isStored).map(({ stored }) => stored.bytes)) }),
    attempts: attempts ?? 1,
    verified: verified === true,
    healed: set?.healed === true,
    ...(error === undefined ? {} : { error: eventError(error) }),
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
