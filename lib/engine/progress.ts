import type { RunProgress } from '../runs/outcome.ts';

/** Shortest time between two progress reports of a run, in ms. */
const REPORT_EVERY_MS = 250;
/** Time over which the rate is smoothed, in ms. */
const RATE_WINDOW_MS = 4_000;

export interface ProgressSubject {
  readonly runId: string;
  readonly job: string;
  readonly nodes: readonly string[];
}

/** Measures one run: what has passed, how fast, how long it will take. */
export class ProgressMeter {
  readonly #subject: ProgressSubject;
  readonly #report: (progress: RunProgress) => void;
  #stage: RunProgress['stage'] = 'dumping';
  #database = '';
  #index = 0;
  #count = 0;
  #expectedBytes: number | undefined;
  #rawBytes = 0;
  #storedBytes: Record<string, number> = {};
  #samples: { at: number; bytes: number }[] = [];
  #reportedAt = 0;

  constructor(subject: ProgressSubject, report: (progress: RunProgress) => void) {
    this.#subject = subject;
    this.#report = report;
  }

  begin(database: string, index: number, count: number, expectedBytes: number | undefined): void {
    this.#stage = 'dumping';
    this.#database = database;
    this.#index = index;
    this.#count = count;
    this.#expectedBytes = expectedBytes;
    this.#rawBytes = 0;
    this.#storedBytes = {};
    this.#samples = [{ at: performance.now(), bytes: 0 }];
    this.#emit();
  }

  stage(stage: RunProgress['stage']): void {
    this.#stage = stage;
    this.#emit();
  }

  raw(total: number): void {
    this.#rawBytes = total;
    this.#emitSometimes();
  }

  stored(node: string, total: number): void {
    this.#storedBytes[node] = total;
    this.#emitSometimes();
  }

  #emitSometimes(): void {
    if (performance.now() - this.#reportedAt >= REPORT_EVERY_MS) this.#emit();
  }

  #emit(): void {
    const now = performance.now();
    this.#reportedAt = now;
    this.#samples = this.#samples.filter((sample) => now - sample.at <= RATE_WINDOW_MS);
    this.#samples.push({ at: now, bytes: this.#rawBytes });
    const rate = this.#rate(now);
    this.#report({
      ...this.#subject,
      stage: this.#stage,
      database: this.#database,
      index: this.#index,
      count: this.#count,
      rawBytes: this.#rawBytes,
      rate,
      storedBytes: { ...this.#storedBytes },
      ...this.#estimate(rate),
    });
  }

  #rate(now: number): number {
    const first = this.#samples[0];
    if (first === undefined || now - first.at < 1) return 0;
    return ((this.#rawBytes - first.bytes) * 1000) / (now - first.at);
  }

  #estimate(rate: number): { expectedBytes?: number; etaSeconds?: number } {
    if (this.#expectedBytes === undefined) return {};
    const left = Math.max(0, this.#expectedBytes - this.#rawBytes);
    const eta = rate > 0 ? { etaSeconds: left / rate } : {};
    return { expectedBytes: this.#expectedBytes, ...eta };
  }
}
