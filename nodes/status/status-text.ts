import type { NodeStatus } from 'node-red';
import { BackupError } from '../../lib/errors.ts';
import type {
  CommittedSet,
  DestinationOutcome,
  QueuedRun,
  RunProgress,
  RunResult,
} from '../../lib/runs/outcome.ts';
import { storedBytes } from '../set-summary.ts';
import { formatBytes, formatTime } from './quantities.ts';

/** A text of the message catalogue. */
export type Translate = (key: string, values?: Readonly<Record<string, string | number>>) => string;

/** Longest error text beside a node, in characters; the whole one is in the log and in the message. */
const MAX_ERROR_LENGTH = 60;

/** What a source shows while its run goes on. */
export function sourceProgress(progress: RunProgress, node: string, text: Translate): NodeStatus {
  const { rawBytes, expectedBytes, index, count, rate } = progress;
  const retry = retryOf(progress, node, text);
  if (retry !== undefined) return retry;
  const parts = [
    ...(count > 1 ? [`${index}/${count}`] : []),
    ...(expectedBytes === undefined || expectedBytes === 0 ? [] : [percent(rawBytes / expectedBytes)]),
    formatBytes(rawBytes),
    progress.stage === 'dumping' ? `${formatBytes(rate)}/s` : text(`status.${progress.stage}`),
  ];
  return { fill: 'blue', shape: 'dot', text: `▶ ${parts.join(' · ')}` };
}

/** What a destination shows: what it has taken of the current database. */
export function destinationProgress(progress: RunProgress, node: string, text: Translate): NodeStatus {
  const retry = retryOf(progress, node, text);
  if (retry !== undefined) return retry;
  const stored = formatBytes(progress.storedBytes[node] ?? 0);
  const stage = progress.stage === 'dumping' ? stored : `${stored} · ${text(`status.${progress.stage}`)}`;
  return { fill: 'blue', shape: 'dot', text: `▶ ${stage}` };
}

/** What a node shows that has failed and is tried again in a moment. */
function retryOf({ retry }: RunProgress, node: string, text: Translate): NodeStatus | undefined {
  if (retry === undefined || !retry.nodes.includes(node)) return undefined;
  const { attempt, attempts, seconds } = retry;
  return { fill: 'yellow', shape: 'ring', text: text('status.retry', { attempt, attempts, seconds }) };
}

/** What every node of a run shows that waits for its turn. */
export function queued({ position, count }: QueuedRun, text: Translate): NodeStatus {
  return { fill: 'blue', shape: 'ring', text: text('status.queued', { position, count }) };
}

/** What a transform shows: that it is at work. Its neighbours' figures need the room beside it. */
export const TRANSFORM_PROGRESS: NodeStatus = { fill: 'blue', shape: 'ring', text: '' };

/** What a source shows when its run has ended. */
export function sourceResult(result: RunResult, node: string, text: Translate): NodeStatus {
  const own = result.artifacts.filter((artifact) => artifact.node === node);
  const failed = own.filter((artifact) => artifact.error !== undefined);
  const [first] = failed;
  if (result.state === 'cancelled') return cancelled(text);
  if (first?.error !== undefined && failed.length === own.length) return failure(first.error);
  if (failed.length > 0) return partial(result.finishedAt, failed.length, own.length, text);
  const lost = result.error ?? result.destinations.find(({ error }) => error !== undefined)?.error;
  if (result.state === 'failed' && lost !== undefined) return failure(lost);
  return success(result.finishedAt, result.rawBytes);
}

/** What a destination shows when its part has ended. */
export function destinationResult(
  { set, error }: DestinationOutcome,
  { state, finishedAt }: RunResult,
  text: Translate,
): NodeStatus {
  if (error?.code === 'aborted') return cancelled(text);
  // The run may have succeeded without it: then it is something to look at, and no alarm.
  if (error !== undefined) return { ...failure(error), fill: state === 'succeeded' ? 'yellow' : 'red' };
  return set === undefined ? {} : setStored(set, finishedAt, text);
}

/** What a destination shows for a set that it holds. */
export function setStored(set: CommittedSet, at: Date, text: Translate): NodeStatus {
  const { artifacts } = set.manifest;
  const failed = artifacts.filter((artifact) => artifact.status === 'failed').length;
  return failed > 0 ? partial(at, failed, artifacts.length, text) : success(at, storedBytes(set.manifest));
}

export function success(at: Date, bytes: number): NodeStatus {
  return { fill: 'green', shape: 'dot', text: `✓ ${formatTime(at)} · ${formatBytes(bytes)}` };
}

/** What a node shows that reads or writes a known number of bytes. */
export function byteProgress(done: number, total: number): NodeStatus {
  const parts = [...(total > 0 ? [percent(done / total)] : []), formatBytes(done)];
  return { fill: 'blue', shape: 'dot', text: `▶ ${parts.join(' · ')}` };
}

export function failure(error: Error): NodeStatus {
  return { fill: 'red', shape: 'ring', text: `✗ ${shortened(error)}` };
}

/** Where there is no room for all of it, what happened is worth more than what it is about. */
function shortened({ message, cause }: Error): string {
  if (message.length <= MAX_ERROR_LENGTH) return message;
  if (cause instanceof BackupError && message.endsWith(cause.message)) return shortened(cause);
  return `${message.slice(0, MAX_ERROR_LENGTH - 1)}…`;
}

function partial(at: Date, failed: number, count: number, text: Translate): NodeStatus {
  const what = text('status.partial', { failed, count });
  return { fill: 'yellow', shape: 'dot', text: `${formatTime(at)} · ${what}` };
}

function cancelled(text: Translate): NodeStatus {
  return { fill: 'grey', shape: 'ring', text: text('status.cancelled') };
}

function percent(fraction: number): string {
  return `${Math.min(100, Math.floor(fraction * 100))} %`;
}
