import type { RetryProgress, RunProgress } from '../runs/outcome.ts';

/** Shortest time between two progress reports of a run, in ms. */
const REPORT_EVERY_MS = 250;
/** Time over which the rate is smoothed, in ms. */
const RATE_WINDOW_MS = 4_000;

export interface ProgressSubject {
  readonly runId: string;
  readonly job: string;
  readonly nodes: readonly string[];
}

/** One database's part of the progress. */
export interface DumpMeter {
  /** The dump has started: how many raw bytes will come, when it can tell. */
  started(expectedBytes: number | undefined): void;
  raw(total: number): void;
  stored(node: string, total: number): void;
  committing(): void;
  /** The database is done with. */
  end(): void;
}

interface Dumping {
  readonly database: string;
  readonly storedBytes: Record<string, number>;
  stage: 'dumping' | 'committing';
  rawBytes: number;
  expectedBytes: number | undefined;
}

/** Measures one run: what has passed, how fast, how long it will take. */
export class ProgressMeter {
  readonly #subject: ProgressSubject;
  readonly #report: (progress: RunProgress) => void;
  /** The databases that are being dumped, in the order of their beginning; the last one when none is. */
  #shown: Dumping[] = [];
  #inFlight = 0;
  #begun = 0;
  #count = 0;
  #runStage: RunProgress['stage'] | undefined;
  #retry: RetryProgress | undefined;
  /** Raw bytes of the whole run. */
  #passed = 0;
  #samples: { at: number; bytes: number }[] = [];
  #reportedAt = 0;

  constructor(subject: ProgressSubject, report: (progress: RunProgress) => void) {
    this.#subject = subject;
    this.#report = report;
  }

  /**
   * @param count databases of the run
   * @param attempt from 1: whether the database is dumped for the first time
   */
  begin(database: string, count: number, expectedBytes: number | undefined, attempt = 1): DumpMeter {
    const dumping: Dumping = { database, stage: 'dumping', rawBytes: 0, expectedBytes, storedBytes: {} };
    if (this.#inFlight === 0) this.#shown = [];
    this.#shown.push(dumping);
    this.#inFlight += 1;
    if (attempt === 1) this.#begun += 1;
    this.#count = count;
    this.#enter(undefined);
    this.#restart();
    this.#emit();
    return {
      started: (bytes) => {
        dumping.expectedBytes = bytes;
        this.#restart();
        this.#emit();
      },
      raw: (total) => {
        this.#passed += total - dumping.rawBytes;
        dumping.rawBytes = total;
        this.#emitSometimes();
      },
      stored: (node, total) => {
        dumping.storedBytes[node] = total;
        this.#emitSometimes();
      },
      committing: () => {
        dumping.stage = 'committing';
        this.#emit();
      },
      end: () => {
        this.#inFlight -= 1;
        if (this.#inFlight > 0) this.#shown = this.#shown.filter((other) => other !== dumping);
      },
    };
  }

  /** The run does something else now than dumping. */
  stage(stage: 'committing' | 'healing' | 'verifying'): void {
    this.#enter(stage);
    this.#emit();
  }

  /** It waits before it tries something again. */
  waiting(retry: RetryProgress): void {
    this.#enter('waiting', retry);
    this.#emit();
  }

  /** What a destination has taken, or given back, of databases that were dumped before. */
  stored(node: string, total: number): void {
    const last = this.#shown.at(-1);
    if (last !== undefined) last.storedBytes[node] = total;
    this.#emitSometimes();
  }

  #enter(stage: RunProgress['stage'] | undefined, retry?: RetryProgress): void {
    this.#runStage = stage;
    this.#retry = retry;
  }

  /** What passed before a database began must not count for its rate, unless others go on. */
  #restart(): void {
    if (this.#inFlight === 1) this.#samples = [{ at: performance.now(), bytes: this.#passed }];
  }

  #emitSometimes(): void {
    if (performance.now() - this.#reportedAt >= REPORT_EVERY_MS) this.#emit();
  }

  #emit(): void {
    const now = performance.now();
    this.#reportedAt = now;
    this.#samples = this.#samples.filter((sample) => now - sample.at <= RATE_WINDOW_MS);
    this.#samples.push({ at: now, bytes: this.#passed });
    const shown = this.#shown;
    const [first] = shown;
    const rawBytes = sum(shown.map((dumping) => dumping.rawBytes));
    const rate = this.#rate(now);
    this.#report({
      ...this.#subject,
      stage:
        this.#runStage ?? (shown.every(({ stage }) => stage === 'committing') ? 'committing' : 'dumping'),
      database: shown.length > 1 ? `${shown.length} databases` : (first?.database ?? ''),
      index: this.#begun,
      count: this.#count,
      rawBytes,
      rate,
      storedBytes: storedBytes(shown),
      ...(this.#retry === undefined ? {} : { retry: this.#retry }),
      ...estimate(shown, rawBytes, rate),
    });
  }

  #rate(now: number): number {
    const first = this.#samples[0];
    if (first === undefined || now - first.at < 1) return 0;
    return ((this.#passed - first.bytes) * 1000) / (now - first.at);
  }
}

function storedBytes(shown: readonly Dumping[]): Record<string, number> {
  const total: Record<string, number> = {};
  for (const dumping of shown) {
    for (const [node, bytes] of Object.entries(dumping.storedBytes)) total[node] = (total[node] ?? 0) + bytes;
  }
  return total;
}

function estimate(
  shown: readonly Dumping[],
  rawBytes: number,
  rate: number,
): { expectedBytes?: number; etaSeconds?: number } {
  const expected = shown.flatMap((dumping) => dumping.expectedBytes ?? []);
  if (expected.length === 0 || expected.length < shown.length) return {};
  const expectedBytes = sum(expected);
  const eta = rate > 0 ? { etaSeconds: Math.max(0, expectedBytes - rawBytes) / rate } : {};
  return { expectedBytes, ...eta };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
