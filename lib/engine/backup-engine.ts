import type { EventEmitter } from 'node:events';
import { hostname } from 'node:os';
import { orAbort, orTimeout } from '../abort.ts';
import { newRunId } from '../backupset/names.ts';
import { type Clock, systemClock } from '../clock.ts';
import { abortError, BackupError, toBackupError } from '../errors.ts';
import type { DestinationBinding } from '../plan/bindings.ts';
import { NEEDS_ALL, type RunNeeds } from '../plan/needs.ts';
import type { RunAnnotations } from '../plan/run-annotations.ts';
import { NO_QUEUE_LIMITS, type QueueLimits } from '../queue/limits.ts';
import { type QueuePlace, RunQueue } from '../queue/run-queue.ts';
import type { SharedLimits } from '../queue/shared-servers.ts';
import { NO_JOURNAL, type RunJournal } from '../runs/journal.ts';
import type { CommittedSet, EngineEvents, RunResult } from '../runs/outcome.ts';
import { type ActiveState, mayFollow, type RunState } from '../runs/states.ts';
import { refuseRun } from './conclusion.ts';
import { EngineEmitter } from './engine-emitter.ts';
import { PlanningRun, type SealedRun } from './planning-run.ts';
import { RememberedDestinations } from './remembered.ts';
import { DEFAULT_LIMITS, Retries, type RetryLimits } from './retries.ts';
import { executeRun, requireDestinations } from './run-execution.ts';
import { type CopyRequest, SetCopies } from './set-copies.ts';

/** How long a storage may hang before its sink is given up, in ms. */
const DEFAULT_STALL_MS = 5 * 60_000;
/** How long destinations of ended runs are remembered for copies by wiring, in ms. */
const DEFAULT_REMEMBER_MS = 10 * 60_000;
/** How long the history may take to record the end of a run, in ms. */
const JOURNAL_MS = 30_000;

export interface EngineOptions {
  readonly journal?: RunJournal;
  /** Name of this host, for manifests. */
  readonly host?: string;
  readonly stallMs?: number;
  /** How many runs may go on at a time; as many as there are without it. */
  readonly limits?: QueueLimits;
  /** Those that it keeps together with other processes. */
  readonly sharedLimits?: SharedLimits | undefined;
  readonly rememberMs?: number;
  /** What is tried again, and how often. */
  readonly retries?: Partial<RetryLimits>;
  /** What the pauses between attempts are measured with. */
  readonly clock?: Clock;
  /** What they are drawn with: at least 0, less than 1. */
  readonly random?: () => number;
}

export interface OpenRunOptions {
  readonly job: string;
  /** All destinations when absent. */
  readonly needs?: RunNeeds;
  /** What the sets of the run begin with. */
  readonly annotations?: RunAnnotations;
}

export interface ActiveRun {
  readonly runId: string;
  readonly job: string;
  readonly state: RunState;
  readonly nodes: readonly string[];
  /** The database servers that it reads from. */
  readonly servers: readonly string[];
  /** Where it stands in the queue, while it waits. */
  readonly place?: QueuePlace;
}

interface RunEntry {
  readonly planning: PlanningRun;
  readonly controller: AbortController;
  readonly journalled: Promise<void>;
  readonly ended: Promise<void>;
  readonly end: () => void;
  /** Gives its place in the queue back. */
  leaveQueue: () => void;
  /** Where it stands while it waits for runs of other processes. */
  elsewhere?: QueuePlace;
  state: RunState;
  /** Everything is decided: nothing is left to cancel. */
  concluded: boolean;
}

/**
 * Owns the runs (invariant 10): from the first source that opens one to its result, whatever happens to
 * the nodes that took part.
 */
export class BackupEngine {
  readonly events: EventEmitter<EngineEvents> = new EngineEmitter();
  readonly #journal: RunJournal;
  readonly #host: string;
  readonly #stallMs: number;
  readonly #retries: Retries;
  readonly #runs = new Map<string, RunEntry>();
  readonly #remembered: RememberedDestinations;
  readonly #copies: SetCopies;
  readonly #queue: RunQueue;
  readonly #sharedLimits: SharedLimits | undefined;
  #closing: string | undefined;

  constructor(options: EngineOptions = {}) {
    this.#journal = options.journal ?? NO_JOURNAL;
    this.#host = options.host ?? hostname();
    this.#stallMs = options.stallMs ?? DEFAULT_STALL_MS;
    const { clock = systemClock, random = Math.random } = options;
    this.#retries = new Retries({ ...DEFAULT_LIMITS, ...options.retries }, clock, random);
    this.#remembered = new RememberedDestinations(options.rememberMs ?? DEFAULT_REMEMBER_MS);
    this.#copies = new SetCopies(this.#stallMs);
    this.#sharedLimits = options.sharedLimits;
    this.#queue = new RunQueue(options.limits ?? NO_QUEUE_LIMITS, (runId, place) => {
      this.#tellPlace(runId, place);
    });
  }

  /**
   * Opens a run in the state `planning`. When it is sealed it is `queued`, and begins when its turn has come.
   * @throws BackupError `aborted` during a shutdown
   */
  openRun({ job, needs = NEEDS_ALL, ...annotated }: OpenRunOptions): PlanningRun {
    if (this.#closing !== undefined) {
      throw new BackupError('aborted', `No new run of ${job} is opened: ${this.#closing}`);
    }
    const openedAt = this.#retries.date();
    const identity = { id: newRunId(openedAt), job, openedAt, needs, ...annotated };
    const planning = new PlanningRun(identity, (sealed) => void this.#execute(sealed));
    const journalled = this.#journal.opened(identity);
    // Awaited when the run begins; a rejection before that must not count as unhandled.
    journalled.catch(() => undefined);
    const { promise, resolve } = Promise.withResolvers<void>();
    const entry: RunEntry = {
      planning,
      controller: new AbortController(),
      journalled,
      ended: promise,
      end: resolve,
      leaveQueue: () => undefined,
      state: 'planning',
      concluded: false,
    };
    this.#runs.set(planning.id, entry);
    this.#enter(entry, 'planning');
    return planning;
  }

  /** The run while messages may still join it. */
  planningRun(runId: string): PlanningRun | undefined {
    const entry = this.#runs.get(runId);
    return entry?.planning.sealed === false ? entry.planning : undefined;
  }

  isActive(runId: string): boolean {
    return this.#runs.has(runId);
  }

  /** True while files of a set of that run may be written: by the run itself, or by a copy of its set. */
  isWriting(runId: string): boolean {
    return this.#runs.has(runId) || this.#copies.isCopying(runId);
  }

  activeRuns(): ActiveRun[] {
    return [...this.#runs].map(([runId, { planning, state, elsewhere }]) => {
      const place = state === 'queued' ? (elsewhere ?? this.#queue.placeOf(runId)) : undefined;
      return {
        runId,
        job: planning.job,
        state,
        nodes: planning.nodes,
        servers: planning.servers,
        ...(place === undefined ? {} : { place }),
      };
    });
  }

  /**
   * Ends a run, planned, queued or running; false when there is no such run any more, or its outcome is decided.
   * What it has committed stays: see `RunResult`.
   */
  cancel(runId: string, reason: string): boolean {
    const entry = this.#runs.get(runId);
    if (entry === undefined || entry.concluded) return false;
    entry.controller.abort(new BackupError('aborted', `Run ${runId} was cancelled: ${reason}`));
    entry.planning.seal();
    return true;
  }

  /** Where a run's destination node stored, also some time after the run has ended. */
  destinationOf(runId: string, node: string): DestinationBinding | undefined {
    return this.#remembered.find(runId, node);
  }

  /**
   * Copies a committed set to another destination, checking every hash on the way (3-2-1 by wiring).
   * @throws BackupError `already-exists` when the set is there already, `aborted` during a shutdown
   */
  async copySet(request: CopyRequest): Promise<CommittedSet> {
    const copied = await this.#copies.copy(request);
    this.#remembered.add(copied.manifest.runId, [request.to]);
    return copied;
  }

  /** Resolves when no run and no copy is active. */
  async idle(): Promise<void> {
    while (this.#runs.size > 0) await Promise.all([...this.#runs.values()].map((entry) => entry.ended));
    await this.#copies.idle();
  }

  /**
   * Refuses new runs, cancels those that have not begun, and waits for the others and for copies, but no longer than
   * until the signal aborts.
   */
  async drain(reason: string, until: AbortSignal): Promise<void> {
    this.#closing = reason;
    for (const [runId, { state }] of this.#runs) {
      if (state === 'planning' || state === 'queued') this.cancel(runId, reason);
    }
    await orAbort(this.idle(), until).catch(() => undefined);
  }

  /** Cancels every run and copy and refuses new ones; resolves when their clean-up is done. */
  async shutdown(reason: string): Promise<void> {
    this.#closing = reason;
    for (const runId of this.#runs.keys()) this.cancel(runId, reason);
    await Promise.all([this.#copies.shutdown(reason), this.idle()]);
  }

  /** Never rejects: whatever happens, the run ends, its destinations are settled, and `finished` comes once. */
  async #execute(sealed: SealedRun): Promise<void> {
    const entry = this.#runs.get(sealed.id);
    if (entry === undefined) return;
    this.#remembered.add(
      sealed.id,
      sealed.joined.map(({ binding }) => binding),
    );
    const result = await this.#run(sealed, entry).catch((error: unknown) =>
      refuseRun(sealed, toBackupError(error), 'failed', this.#retries.date()),
    );
    entry.concluded = true;
    await this.#recordEnd(result);
    this.#runs.delete(sealed.id);
    this.#enter(entry, result.state);
    this.events.emit('finished', result);
    entry.end();
    // The next one begins after everybody knows that this one has ended.
    entry.leaveQueue();
  }

  async #run(sealed: SealedRun, entry: RunEntry): Promise<RunResult> {
    const { signal } = entry.controller;
    try {
      await orAbort(entry.journalled, signal);
      if (sealed.refusal !== undefined)
        return refuseRun(sealed, sealed.refusal, 'failed', this.#retries.date());
      await this.#waitForTurn(sealed, entry);
    } catch (thrown) {
      if (signal.aborted) return refuseRun(sealed, abortError(signal), 'cancelled', this.#retries.date());
      const context = 'The run was not started, since it could not be journalled';
      return refuseRun(sealed, toBackupError(thrown, context), 'failed', this.#retries.date());
    }
    return executeRun(sealed, {
      events: this.events,
      host: this.#host,
      stallMs: this.#stallMs,
      retries: this.#retries,
      signal,
      verifying: () => this.#beginVerifying(entry),
    });
  }

  /** @throws BackupError when it is cancelled before, cannot be journalled, or its plan cannot succeed */
  async #waitForTurn(sealed: SealedRun, entry: RunEntry): Promise<void> {
    await this.#follow(entry, 'queued');
    requireDestinations(sealed);
    const { servers } = entry.planning;
    const { signal } = entry.controller;
    entry.leaveQueue = await this.#queue.enter({ id: sealed.id, servers }, signal);
    await this.#waitForOthers(entry, servers);
    await this.#follow(entry, 'running');
  }

  /** Until runs of other processes have left its servers. */
  async #waitForOthers(entry: RunEntry, servers: readonly string[]): Promise<void> {
    if (this.#sharedLimits === undefined) return;
    const giveBack = await this.#sharedLimits.take(servers, entry.controller.signal, () => {
      entry.elsewhere = { position: 1, count: 1, server: servers[0], elsewhere: true };
      this.#tellPlace(entry.planning.id, entry.elsewhere);
    });
    const leave = entry.leaveQueue;
    entry.leaveQueue = () => {
      giveBack();
      leave();
    };
  }

  /** A history that cannot be written at this late hour costs no set. */
  async #beginVerifying(entry: RunEntry): Promise<void> {
    try {
      await this.#follow(entry, 'verifying');
    } catch (thrown) {
      if (entry.controller.signal.aborted) return;
      const runId = entry.planning.id;
      const message = `The history could not record that run ${runId} verifies its sets: ${toBackupError(thrown).message}`;
      this.events.emit('notice', { runId, level: 'warn', message });
    }
  }

  /**
   * Journals the state that a run is about to enter, and enters it then.
   * @throws BackupError when it is cancelled before, or that cannot be journalled
   */
  async #follow(entry: RunEntry, state: ActiveState): Promise<void> {
    const { id } = entry.planning;
    if (!mayFollow(entry.state, state)) {
      throw new BackupError('internal', `Run ${id} cannot be ${state} after it was ${entry.state}`);
    }
    await orAbort(this.#journal.state(id, state), entry.controller.signal);
    this.#enter(entry, state);
  }

  async #recordEnd(result: RunResult): Promise<void> {
    const { runId } = result;
    try {
      const late = () => new BackupError('stalled', `it did not answer within ${JOURNAL_MS / 1000} s`);
      await orTimeout(this.#journal.finished(result), JOURNAL_MS, late);
    } catch (error) {
      const message = `The history could not record the end of run ${runId}: ${toBackupError(error).message}`;
      this.events.emit('notice', { runId, level: 'error', message });
    }
  }

  #enter(entry: RunEntry, state: RunState): void {
    entry.state = state;
    const { id, job, nodes } = entry.planning;
    this.events.emit('state', { runId: id, job, state, nodes });
  }

  #tellPlace(runId: string, place: QueuePlace): void {
    const entry = this.#runs.get(runId);
    if (entry === undefined) return;
    const { job, nodes } = entry.planning;
    this.events.emit('queued', { runId, job, nodes, ...place });
  }
}
