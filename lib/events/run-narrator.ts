import type { EventEmitter } from 'node:events';
import { orTimeout } from '../abort.ts';
import type { Clock } from '../clock.ts';
import { BackupError } from '../errors.ts';
import type { EngineEvents, QueuedRun, RunProgress, RunResult, VerifiedSet } from '../runs/outcome.ts';
import { isActiveState } from '../runs/states.ts';
import type { RunRecord } from '../store/history.ts';
import type { BackupEvents } from './event-bus.ts';
import { interruptedDetails } from './interrupted-details.ts';
import { deadLettered, skipped } from './job-events.ts';
import { ProgressGate } from './progress-gate.ts';
import { type EndDetails, endDetails, type PriorRuns } from './run-details.ts';
import { type EventTrigger, eventError, type ToldEvent } from './run-event.ts';
import { endSummary, oneLine, progressSummary, queuedSummary, recoveredSummary } from './summaries.ts';

/** How long the end of a run waits for what the history knows of the runs before it, in ms. */
const HISTORY_MS = 10_000;

export interface NarratorParts {
  readonly events: EventEmitter<EngineEvents>;
  readonly happenings: BackupEvents;
  readonly clock: Clock;
  /** What the history knows of a job's runs before one that has ended. */
  priorRun(job: string, runId: string, finishedAt: Date): Promise<PriorRuns>;
}

interface Told {
  readonly gate: ProgressGate<ToldEvent>;
  trigger: EventTrigger | undefined;
  started: boolean;
}

/** Tells of the engine's runs as events: that they begin, how far they are, how they end, and what becomes of their jobs. */
export class RunNarrator {
  readonly #parts: NarratorParts;
  readonly #runs = new Map<string, Told>();
  /** How the last run of each job ended in this process: the history may not have been able to record it. */
  readonly #last = new Map<string, PriorRuns>();
  #turn: Promise<void> = Promise.resolve();
  #disposed = false;

  constructor(parts: NarratorParts) {
    this.#parts = parts;
    const { events } = parts;
    events.on('state', ({ runId, job, state }) => {
      if (state === 'running') this.#started(runId, job);
      else if (isActiveState(state)) this.#toldOf(runId);
    });
    events.on('queued', (queued) => this.#queued(queued));
    events.on('progress', (progress) => this.#progress(progress));
    events.on('setVerified', (verified) => this.#verified(verified));
    events.on('finished', (result) => this.#finished(result));
    events.on('runSkipped', (run) => this.#tell(skipped(run)));
    events.on('jobChanged', (change) => {
      // Behind the failure that it comes of, which waits for the history.
      if (change.to === 'dead-lettered') this.#turn = this.#turn.then(() => this.#tell(deadLettered(change)));
    });
  }

  /** What has begun a run that is active now. */
  begun(runId: string, trigger: EventTrigger): void {
    this.#toldOf(runId).trigger = trigger;
  }

  /** What has begun an active run, as far as that is known. */
  triggerOf(runId: string): EventTrigger | undefined {
    return this.#runs.get(runId)?.trigger;
  }

  /** Tells that a run of another process has failed, since that process died. */
  interrupted(run: RunRecord): void {
    this.#inTurn(run.job, run.id, new Date(run.finishedAt ?? run.openedAt), (prior) => {
      const details = interruptedDetails(run, prior);
      this.#tellEnd('failed', details);
    });
  }

  /** Resolves when the end of every run is told. Never rejects. */
  async idle(): Promise<void> {
    let turn: Promise<void> | undefined;
    while (turn !== this.#turn) {
      turn = this.#turn;
      await turn;
    }
  }

  /** Tells nothing any more. */
  dispose(): void {
    this.#disposed = true;
    for (const { gate } of this.#runs.values()) gate.close();
    this.#runs.clear();
  }

  #toldOf(runId: string): Told {
    const known = this.#runs.get(runId);
    if (known !== undefined) return known;
    const gate = new ProgressGate<ToldEvent>(this.#parts.clock, (event) => this.#tell(event));
    const told: Told = { gate, trigger: undefined, started: false };
    if (this.#disposed) gate.close();
    else this.#runs.set(runId, told);
    return told;
  }

  #tell(event: ToldEvent): void {
    if (!this.#disposed) this.#parts.happenings.tell(event);
  }

  #verified({ runId, job, storage, path, error }: VerifiedSet): void {
    if (error === undefined) return;
    this.#tell({
      event: 'verification-failed',
      job,
      runId,
      storage,
      path,
      level: 'hash',
      error: eventError(error),
      problems: [oneLine(error.message)],
      summary: oneLine(`The backup set ${path} of ${job} does not hold: ${error.message}`),
    });
  }

  #started(runId: string, job: string): void {
    const told = this.#toldOf(runId);
    if (told.started) return;
    told.started = true;
    this.#tell({
      event: 'started',
      job,
      runId,
      ...triggerField(told),
      summary: `The backup of ${job} begins`,
    });
  }

  #queued(queued: QueuedRun): void {
    const { runId, job, position } = queued;
    const told = this.#toldOf(runId);
    told.gate.offer({
      event: 'progress',
      job,
      runId,
      ...triggerField(told),
      summary: queuedSummary(queued),
      stage: 'queued',
      position,
      database: '',
      index: 0,
      count: 0,
      rawBytes: 0,
      rate: 0,
      destinations: [],
    });
  }

  #progress(progress: RunProgress): void {
    const { runId, job, stage, database, index, count, rawBytes, expectedBytes, rate, retry } = progress;
    const told = this.#toldOf(runId);
    const percent = expectedBytes ? Math.min(100, Math.floor((rawBytes / expectedBytes) * 100)) : undefined;
    told.gate.offer({
      event: 'progress',
      job,
      runId,
      ...triggerField(told),
      summary: progressSummary(progress, percent),
      stage,
      database,
      index,
      count,
      rawBytes,
      ...(expectedBytes === undefined ? {} : { expectedBytes }),
      ...(percent === undefined ? {} : { percent }),
      rate: Math.round(rate),
      ...(progress.etaSeconds === undefined ? {} : { etaSeconds: Math.ceil(progress.etaSeconds) }),
      ...(retry === undefined ? {} : { retry: retryOf(retry) }),
      destinations: Object.entries(progress.storedBytes).map(([node, storedBytes]) => ({
        node,
        storedBytes,
      })),
    });
  }

  #finished(result: RunResult): void {
    const { runId, job, state, finishedAt } = result;
    const told = this.#runs.get(runId);
    told?.gate.close();
    this.#runs.delete(runId);
    this.#inTurn(job, runId, finishedAt, (prior) => {
      const details = endDetails(result, prior, told?.trigger);
      this.#tellEnd(state, details);
      const { previous } = prior;
      if (state !== 'succeeded' || previous === undefined || previous.state === 'succeeded') return;
      const at = details.finishedAt;
      this.#tell({ event: 'recovered', at, ...details, summary: oneLine(recoveredSummary(details)) });
    });
  }

  #tellEnd(event: RunResult['state'], details: EndDetails): void {
    const { job, runId, finishedAt } = details;
    this.#tell({ event, at: finishedAt, ...details, summary: oneLine(endSummary(event, details)) });
    if (event === 'cancelled') return;
    const lastSuccessAt = event === 'succeeded' ? finishedAt : details.lastSuccessAt;
    this.#last.set(job, {
      previous: { runId, state: event, finishedAt },
      ...(lastSuccessAt === undefined ? {} : { lastSuccessAt }),
    });
  }

  /** One end after the other, each with what is known of the runs before it. */
  #inTurn(job: string, runId: string, finishedAt: Date, tell: (prior: PriorRuns) => void): void {
    // Asked at once: a run of the same job may follow at once.
    const recorded = this.#recorded(job, runId, finishedAt);
    this.#turn = this.#turn.then(async () => {
      const prior = later(await recorded, this.#last.get(job));
      tell(prior);
    });
  }

  async #recorded(job: string, runId: string, finishedAt: Date): Promise<PriorRuns> {
    try {
      const late = () => new BackupError('stalled', 'The history does not answer');
      return await orTimeout(this.#parts.priorRun(job, runId, finishedAt), HISTORY_MS, late);
    } catch {
      // Whoever writes the history says what is wrong with it.
      return {};
    }
  }
}

/** What the history and this process know, together. */
function later(recorded: PriorRuns, own: PriorRuns = {}): PriorRuns {
  const isOwnLater = (own.previous?.finishedAt ?? '') > (recorded.previous?.finishedAt ?? '');
  const { previous } = isOwnLater ? own : recorded;
  const [lastSuccessAt] = [recorded.lastSuccessAt, own.lastSuccessAt]
    .filter((at) => at !== undefined)
    .toSorted()
    .toReversed();
  return {
    ...(previous === undefined ? {} : { previous }),
    ...(lastSuccessAt === undefined ? {} : { lastSuccessAt }),
  };
}

function triggerField({ trigger }: Told): { trigger?: EventTrigger } {
  return trigger === undefined ? {} : { trigger };
}

function retryOf({ attempt, attempts, seconds }: NonNullable<RunProgress['retry']>) {
  return { attempt, attempts, seconds };
}
