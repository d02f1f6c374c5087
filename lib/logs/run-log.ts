import type { EventEmitter } from 'node:events';
import { settled } from '../abort.ts';
import type { Clock, ClockTimer } from '../clock.ts';
import { messageAbout, toBackupError } from '../errors.ts';
import type { RunJournal } from '../runs/journal.ts';
import type { EngineEvents, RunProgress, RunResult } from '../runs/outcome.ts';
import { isActiveState } from '../runs/states.ts';
import { endLines, type Said, stageLine, stateLine } from './event-lines.ts';
import type { LogLine } from './log-line.ts';
import { logText } from './log-text.ts';

/** Lines of one run that are kept on its way; how it ended is always told. */
export const MAX_LINES = 2000;
/** How long lines are gathered before they are written, in ms. */
const GATHER_MS = 300;
/** How long the end of a run waits for its log, in ms. */
const END_WAIT_MS = 5_000;

export interface RunLogParts {
  readonly clock: Clock;
  /** Resolves when the lines are kept. */
  write(lines: readonly LogLine[]): Promise<void>;
  /** Tells people that the log cannot be written. */
  warn(message: string): void;
}

interface OpenLog {
  pending: LogLine[];
  /** On the way so far, those that were dropped included. */
  count: number;
  /** The history knows the run: only then it takes its lines. */
  recorded: boolean;
  stage: string;
}

/**
 * Writes down what happens to each run, in batches. A log that cannot be written keeps no run from going on: that is
 * told once until it works again, and what could not be written until its run ended is lost.
 */
export class RunLog {
  readonly #parts: RunLogParts;
  readonly #logs = new Map<string, OpenLog>();
  #timer: ClockTimer | undefined;
  #writing: Promise<void> = Promise.resolve();
  #failing = false;

  constructor(parts: RunLogParts) {
    this.#parts = parts;
  }

  /** Writes down from now on what the engine tells. */
  follow(events: EventEmitter<EngineEvents>): void {
    events.on('state', ({ runId, state }) => {
      if (isActiveState(state)) this.#add(runId, stateLine(state));
    });
    events.on('progress', (progress) => this.#enterStage(progress));
    events.on('notice', ({ runId, level, message, node = null }) =>
      this.#add(runId, { level, message, node }),
    );
    events.on('artifactFailed', ({ runId, node, database, error }) => {
      this.#add(runId, { level: 'error', node, message: messageAbout(database, error.message) });
    });
  }

  /**
   * The journal of runs that are logged here: the history knows a run before its first line, and has the last line
   * before it says that the run has ended.
   */
  journal(inner: RunJournal): RunJournal {
    return {
      opened: async (run) => {
        const log: OpenLog = { pending: [], count: 0, recorded: false, stage: '' };
        this.#logs.set(run.id, log);
        await inner.opened(run);
        log.recorded = true;
        this.#schedule();
      },
      state: (runId, state) => inner.state(runId, state),
      finished: async (result) => {
        await this.#end(result);
        await inner.finished(result);
      },
    };
  }

  #enterStage(progress: RunProgress): void {
    const said = stageLine(progress);
    const log = this.#logs.get(progress.runId);
    if (said === undefined || log === undefined || log.stage === said.message) return;
    log.stage = said.message;
    this.#add(progress.runId, said);
  }

  #add(run: string, said: Said): void {
    const log = this.#logs.get(run);
    if (log === undefined) return;
    log.count += 1;
    if (log.count > MAX_LINES + 1) return;
    const more = `More than ${MAX_LINES} lines: what follows is left out, except how the run ended`;
    const kept: Said = log.count > MAX_LINES ? { level: 'warn', node: null, message: more } : said;
    log.pending.push(this.#line(run, kept));
    if (log.recorded) this.#schedule();
  }

  #line(run: string, { level, node, message }: Said): LogLine {
    const at = new Date(this.#parts.clock.now()).toISOString();
    return { run, at, level, node, message: logText(message) };
  }

  #schedule(): void {
    this.#timer ??= this.#parts.clock.setTimer(() => void this.#flush(), GATHER_MS);
  }

  async #end(result: RunResult): Promise<void> {
    const log = this.#logs.get(result.runId);
    if (log === undefined) return;
    log.pending.push(...endLines(result).map((said) => this.#line(result.runId, said)));
    await settled(this.#flush(), END_WAIT_MS);
    this.#logs.delete(result.runId);
  }

  /** Writes what there is, after what is being written. Never rejects. */
  #flush(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#writing = this.#writing.then(() => this.#writePending());
    return this.#writing;
  }

  async #writePending(): Promise<void> {
    const logs = [...this.#logs.values()].filter(({ recorded }) => recorded);
    const taken = logs.map((log) => ({ log, lines: log.pending.splice(0) }));
    const lines = taken.flatMap((each) => each.lines);
    if (lines.length === 0) return;
    try {
      await this.#parts.write(lines);
      this.#failing = false;
    } catch (thrown) {
      // They get another chance with the next ones.
      for (const { log, lines: unwritten } of taken) log.pending.unshift(...unwritten);
      this.#tellFailure(thrown);
    }
  }

  #tellFailure(thrown: unknown): void {
    if (this.#failing) return;
    this.#failing = true;
    this.#parts.warn(`The log of runs cannot be written: ${toBackupError(thrown).message}`);
  }
}
