import type { EventEmitter } from 'node:events';
import { isStored } from '../../lib/backupset/manifest.ts';
import { type BackupError, messageAbout } from '../../lib/errors.ts';
import type { FlowProblem } from '../../lib/plan/flow-problem.ts';
import type { DestinationOutcome, EngineEvents, RunProgress, RunResult } from '../../lib/runs/outcome.ts';
import type { FinalState } from '../../lib/runs/states.ts';
import { formatBytes } from '../../nodes/status/quantities.ts';
import { formatDuration, printable } from '../format.ts';
import type { Output } from '../output.ts';
import type { LogLine } from '../runtime.ts';
import type { ProgressView } from './progress-view.ts';
import type { RunEnd, RunReport } from './run-report.ts';

/** Lines for people: what happens on stderr, the summary on stdout. */
export class TextReport implements RunReport {
  readonly #output: Output;
  readonly #progress: ProgressView;
  readonly #quiet: boolean;

  constructor(output: Output, progress: ProgressView, options: { quiet: boolean }) {
    this.#output = output;
    this.#progress = progress;
    this.#quiet = options.quiet;
  }

  problems(problems: readonly FlowProblem[]): void {
    for (const { severity, message } of problems) {
      if (severity === 'error' || !this.#quiet) this.#output.note(printable(`${severity}: ${message}`));
    }
  }

  follow(events: EventEmitter<EngineEvents>): void {
    events.on('state', ({ runId, job, state }) => {
      if (state === 'running') this.#say(`Run ${runId} of ${job} started`);
    });
    const waiting = new Set<string>();
    events.on('queued', ({ runId, job, position, count }) => {
      // Once: how the queue moves is told by the ends of the runs before it.
      if (!waiting.has(runId)) this.#say(`Run ${runId} of ${job} is queued, ${position} of ${count}`);
      waiting.add(runId);
    });
    events.on('progress', (progress: RunProgress) => this.#progress.show(progress));
    events.on('finished', (result) => {
      waiting.delete(result.runId);
      this.#progress.clear(result.runId);
      this.#summary(result);
    });
  }

  /** The engine's notices and failures come this way too, as lines of the nodes that they concern. */
  log(line: LogLine): void {
    if (line.level === 'debug' || (this.#quiet && line.level !== 'error')) return;
    const what = line.level === 'info' ? '' : `${line.level}: `;
    this.#progress.above(printable(`${what}${lineText(line)}`));
  }

  listening(url: string): void {
    this.#say(`Listening on ${url}`);
  }

  failed(error: BackupError): void {
    this.#output.error(error);
  }

  ended({ results, nodeErrors }: RunEnd): void {
    this.#progress.stop();
    const told = new Set(results.flatMap(messagesOf));
    for (const { line, caught } of nodeErrors) {
      if (!caught || told.has(line.message)) continue;
      this.#output.note(printable(`error (taken by a Catch node): ${lineText(line)}`));
    }
    const stored = results.some(({ state }) => state === 'succeeded' || state === 'partial');
    if (stored && nodeErrors.length > 0) {
      this.#output.note('The backup is stored, but nodes of the flow reported errors: see above');
    }
  }

  #summary(result: RunResult): void {
    if (this.#quiet && result.state === 'succeeded') return;
    for (const line of summaryLines(result)) this.#output.print(printable(line));
  }

  #say(text: string): void {
    if (!this.#quiet) this.#progress.above(printable(text));
  }
}

function lineText({ message, node }: LogLine): string {
  return node === undefined ? message : `${node.name || node.type}: ${message}`;
}

/** Errors that the summary of a run tells already. */
function messagesOf({ artifacts, destinations, error }: RunResult): string[] {
  const errors = [error, ...artifacts.map((each) => each.error), ...destinations.map((each) => each.error)];
  return errors.flatMap((each) => each?.message ?? []);
}

/** What became of a run, its databases and its destinations. */
export function summaryLines(result: RunResult): string[] {
  const { runId, job, state, rawBytes, openedAt, finishedAt } = result;
  const ms = finishedAt.getTime() - openedAt.getTime();
  const rate = ms > 0 ? `, ${formatBytes((rawBytes / ms) * 1000)}/s` : '';
  return [
    `Run ${runId} of ${job} ${state}: ${formatBytes(rawBytes)} in ${formatDuration(ms)}${rate}`,
    ...(result.error === undefined ? [] : [`  ${result.error.message}`]),
    ...result.artifacts.flatMap(({ database, error }) =>
      error === undefined ? [] : [`  ${messageAbout(database, error.message, ' failed')}`],
    ),
    ...result.destinations.map((destination) => `  ${destinationLine(destination, state)}`),
  ];
}

function destinationLine(destination: DestinationOutcome, state: FinalState): string {
  const { label, set, error, attempts, verified } = destination;
  const failed = state === 'succeeded' ? 'failed, and was not needed' : 'failed';
  if (set === undefined) return messageAbout(label, error?.message ?? 'nothing was stored', ` ${failed}`);
  const stored = set.manifest.artifacts.filter(isStored);
  const bytes = stored.reduce((sum, artifact) => sum + artifact.stored.bytes, 0);
  const healed = set.healed ? ', copied from another destination after its own sink failed' : '';
  const partial = set.reference.status === 'partial' ? ', partial' : '';
  const again = attempts === undefined ? '' : `, at attempt ${attempts}`;
  const proven = verified === true ? ', verified' : '';
  const doubt = error === undefined ? '' : `: ${error.message}`;
  const { storage, path } = set.reference;
  return `${label}: ${formatBytes(bytes)} in ${storage} ${path}${partial}${healed}${again}${proven}${doubt}`;
}
