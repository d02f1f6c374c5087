import { formatBytes } from '../quantities.ts';
import type { QueuedRun, RunProgress } from '../runs/outcome.ts';
import type { FinalState } from '../runs/states.ts';
import type { EndDetails } from './run-details.ts';

/** How a run has ended, in one line. */
export function endSummary(state: FinalState, details: EndDetails): string {
  const { job, error } = details;
  const why = error === undefined ? '' : `: ${oneLine(error.message)}`;
  switch (state) {
    case 'succeeded':
      return `${job} was backed up: ${sizesOf(details)}`;
    case 'partial':
      return `${job} was backed up in part (${lossesOf(details)})${why}`;
    case 'failed':
      return `The backup of ${job} failed${why}`;
    case 'cancelled':
      return `The backup of ${job} was cancelled${why}`;
  }
}

/** A job works again, in one line. */
export function recoveredSummary({ job, previous, lastSuccessAt }: EndDetails): string {
  const before = previous?.state === 'partial' ? 'was backed up in part only' : 'failed';
  const last = lastSuccessAt === undefined ? '' : `; the last success before was at ${lastSuccessAt}`;
  return `The backup of ${job} works again: it ${before} at ${previous?.finishedAt}${last}`;
}

/** How far a run is, in one line. */
export function progressSummary(progress: RunProgress, percent: number | undefined): string {
  const { job, stage, database, index, count, rawBytes, rate } = progress;
  const parts = [
    stage,
    ...(database === '' ? [] : [database]),
    ...(count > 1 ? [`${index} of ${count}`] : []),
    ...(percent === undefined ? [] : [`${percent} %`]),
    formatBytes(rawBytes),
    ...(stage === 'dumping' ? [`${formatBytes(rate)}/s`] : []),
  ];
  return `${job}: ${parts.join(', ')}`;
}

/** What a run waits for, in one line. */
export function queuedSummary({ job, position, count, server }: QueuedRun): string {
  const what = server === undefined ? 'its turn' : server;
  return `${job}: waits for ${what}, place ${position} of ${count}`;
}

/** Errors may have several lines; a subject or a row of a table has one. */
export function oneLine(text: string): string {
  const lines = text.split(/[\r\n]+/).map((line) => line.trim());
  return lines.filter((line) => line !== '').join(' ');
}

function sizesOf({ databases, destinations, rawBytes, durationSeconds }: EndDetails): string {
  const held = destinations.filter(({ status }) => status !== 'failed').length;
  const what = `${counted(databases.length, 'database')} (${formatBytes(rawBytes)})`;
  return `${what} to ${counted(held, 'destination')} in ${Math.round(durationSeconds)} s`;
}

function lossesOf({ databases, destinations }: EndDetails): string {
  const parts = [
    [databases.filter(({ status }) => status === 'failed').length, databases.length, 'database'],
    [destinations.filter(({ error }) => error !== undefined).length, destinations.length, 'destination'],
  ] as const;
  const lost = parts.filter(([failed]) => failed > 0);
  return (
    lost.map(([failed, all, what]) => `${failed} of ${counted(all, what)} failed`).join(', ') || 'see there'
  );
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
