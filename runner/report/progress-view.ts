import { MultiBar, type SingleBar } from 'cli-progress';
import { attemptText } from '../../lib/engine/retries.ts';
import type { RunProgress } from '../../lib/runs/outcome.ts';
import { formatBytes } from '../../nodes/status/quantities.ts';
import { formatDuration, printable } from '../format.ts';
import type { Output } from '../output.ts';

/** Where the progress of runs is shown, and lines are written so that they do not disturb it. */
export interface ProgressView {
  show(progress: RunProgress): void;
  /** The run is over. */
  clear(runId: string): void;
  /** A line about what happens. */
  above(line: string): void;
  stop(): void;
}

/** Without a terminal: a line now and then. */
export class ProgressLines implements ProgressView {
  readonly #output: Output;
  readonly #everyMs: number;
  readonly #last = new Map<string, number>();

  /** @param everyMs time between two lines of one run; Infinity for none */
  constructor(output: Output, everyMs = 30_000) {
    this.#output = output;
    this.#everyMs = everyMs;
  }

  show(progress: RunProgress): void {
    const now = Date.now();
    const last = this.#last.get(progress.runId);
    if (last === undefined) this.#last.set(progress.runId, now);
    if (last === undefined || now - last < this.#everyMs) return;
    this.#last.set(progress.runId, now);
    this.#output.note(printable(describeProgress(progress)));
  }

  clear(runId: string): void {
    this.#last.delete(runId);
  }

  above(line: string): void {
    this.#output.note(line);
  }

  stop(): void {}
}

/** On a terminal: one bar for each run, drawn on stderr. */
export class ProgressBars implements ProgressView {
  readonly #output: Output;
  readonly #bars: MultiBar;
  readonly #byRun = new Map<string, SingleBar>();

  /** @param output what writes to the same terminal while no bar is drawn */
  constructor(output: Output, stream: NodeJS.WritableStream) {
    this.#output = output;
    this.#bars = new MultiBar({
      stream,
      format: '{bar} {text}',
      barsize: 24,
      barCompleteChar: '█',
      barIncompleteChar: '░',
      hideCursor: true,
      clearOnComplete: true,
      emptyOnZero: true,
      gracefulExit: false,
    });
  }

  show(progress: RunProgress): void {
    const text = printable(describeProgress(progress));
    // A database of unknown size has a bar that stays empty: its numbers say all there is.
    const total = progress.expectedBytes ?? Number.MAX_SAFE_INTEGER;
    const bar = this.#byRun.get(progress.runId) ?? this.#create(progress.runId, total, text);
    bar.setTotal(total);
    bar.update(Math.min(progress.rawBytes, total), { text });
  }

  clear(runId: string): void {
    const bar = this.#byRun.get(runId);
    if (bar === undefined) return;
    this.#byRun.delete(runId);
    this.#bars.remove(bar);
    if (this.#byRun.size === 0) this.#bars.stop();
  }

  above(line: string): void {
    if (this.#byRun.size === 0) this.#output.note(line);
    else this.#bars.log(`${line}\n`);
  }

  stop(): void {
    this.#bars.stop();
  }

  #create(runId: string, total: number, text: string): SingleBar {
    const bar = this.#bars.create(total, 0, { text });
    this.#byRun.set(runId, bar);
    return bar;
  }
}

/**
 * `shop.db (1 of 3) dumping 120 MB of 1.0 GB, 95 MB/s, 9.3 s left`, or while something waits to be tried again
 * `waiting: attempt 2 of 5 in 8 s`
 */
export function describeProgress(progress: RunProgress): string {
  const { database, index, count, stage, rawBytes, expectedBytes, rate, etaSeconds, retry } = progress;
  if (retry !== undefined) return `waiting: ${attemptText(retry)}`;
  const place = count > 1 ? ` (${index} of ${count})` : '';
  const size = expectedBytes === undefined ? '' : ` of ${formatBytes(expectedBytes)}`;
  const left = etaSeconds === undefined ? '' : `, ${formatDuration(etaSeconds * 1000)} left`;
  return `${database}${place} ${stage} ${formatBytes(rawBytes)}${size}, ${formatBytes(rate)}/s${left}`;
}
