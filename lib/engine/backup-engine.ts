import { EventEmitter } from 'node:events';
import { hostname } from 'node:os';
import { joinPath, newRunId } from '../backupset/names.ts';
import { openBackupSet } from '../backupset/reader.ts';
import { BackupError, toBackupError } from '../errors.ts';
import type { DestinationBinding } from '../plan/bindings.ts';
import { PlanningRun, type SealedRun } from '../plan/planning-run.ts';
import { NO_JOURNAL, type RunJournal } from '../runs/journal.ts';
import type { CommittedSet, EngineEvents, RunResult, RunState } from './outcome.ts';
import { replicateSet } from './replicate.ts';
import { executeRun } from './run-execution.ts';

/** How long a storage may hang before its sink is given up, in ms. */
const DEFAULT_STALL_MS = 5 * 60_000;
/** How long destinations of ended runs are remembered for copies by wiring, in ms. */
const DEFAULT_REMEMBER_MS = 10 * 60_000;

export interface EngineOptions {
  readonly journal?: RunJournal;
  /** Name of this host, for manifests. */
  readonly host?: string;
  readonly stallMs?: number;
  readonly rememberMs?: number;
}

export interface ActiveRun {
  readonly runId: string;
  readonly job: string;
  readonly state: RunState;
  readonly nodes: readonly string[];
}

export interface CopyRequest {
  readonly from: DestinationBinding;
  readonly to: DestinationBinding;
  /** Set folder below the prefix of `from`, as a SetReference has it. */
  readonly path: string;
  readonly signal: AbortSignal;
}

interface RunEntry {
  readonly planning: PlanningRun;
  readonly controller: AbortController;
  readonly journalled: Promise<void>;
  readonly ended: Promise<void>;
  readonly end: () => void;
  state: RunState;
  nodes: readonly string[];
}

/**
 * Owns the runs (invariant 10): from the first source that opens one to its result, whatever happens to
 * the nodes that took part.
 */
export class BackupEngine {
  readonly events = new EventEmitter<EngineEvents>();
  readonly #journal: RunJournal;
  readonly #host: string;
  readonly #stallMs: number;
  readonly #rememberMs: number;
  readonly #runs = new Map<string, RunEntry>();
  readonly #remembered = new Map<string, readonly DestinationBinding[]>();
  #closing: string | undefined;

  constructor(options: EngineOptions = {}) {
    this.#journal = options.journal ?? NO_JOURNAL;
    this.#host = options.host ?? hostname();
    this.#stallMs = options.stallMs ?? DEFAULT_STALL_MS;
    this.#rememberMs = options.rememberMs ?? DEFAULT_REMEMBER_MS;
  }

  /**
   * Opens a run in the state `planning`. It begins when it is sealed.
   * @throws BackupError `aborted` during a shutdown
   */
  openRun(options: { readonly job: string }): PlanningRun {
    if (this.#closing !== undefined) {
      throw new BackupError('aborted', `No new run of ${options.job} is opened: ${this.#closing}`);
    }
    const openedAt = new Date();
    const identity = { id: newRunId(openedAt), job: options.job, openedAt };
    const planning = new PlanningRun(identity, (sealed) => void this.#execute(sealed));
    const journalled = this.#journal.opened(identity);
    journalled.catch(() => undefined);
    const { promise, resolve } = Promise.withResolvers<void>();
    const entry: RunEntry = {
      planning,
      controller: new AbortController(),
      journalled,
      ended: promise,
      end: resolve,
      state: 'planning',
      nodes: [],
    };
    this.#runs.set(planning.id, entry);
    this.events.emit('state', { runId: planning.id, job: planning.job, state: 'planning', nodes: [] });
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

  activeRuns(): ActiveRun[] {
    return [...this.#runs].map(([runId, { planning, state }]) => ({
      runId,
      job: planning.job,
      state,
      nodes: planning.nodes,
    }));
  }

  /** Ends a run, planning or running; false when there is no such active run. */
  cancel(runId: string, reason: string): boolean {
    const entry = this.#runs.get(runId);
    if (entry === undefined) return false;
    entry.controller.abort(new BackupError('aborted', `Run ${runId} was cancelled: ${reason}`));
    entry.planning.seal();
    return true;
  }

  /** Where a run's destination node stored, also some time after the run has ended. */
  destinationOf(runId: string, node: string): DestinationBinding | undefined {
    return this.#remembered.get(runId)?.find((binding) => binding.node === node);
  }

  /**
   * Copies a committed set to another destination, checking every hash on the way (3-2-1 by wiring).
   * @throws BackupError `already-exists` when both are the same place
   */
  async copySet(request: CopyRequest): Promise<CommittedSet> {
    const { from, to, signal } = request;
    const set = await openBackupSet(from.driver, joinPath(from.prefix, request.path), signal);
    if (from.driver.describe() === to.driver.describe() && from.prefix === to.prefix) {
      throw new BackupError(
        'already-exists',
        `${to.label} is the place where set ${request.path} lies already`,
      );
    }
    const folder = joinPath(to.prefix, request.path);
    await replicateSet({ from: set, to, folder, signal, stallMs: this.#stallMs });
    this.#remember(set.manifest.runId, [to]);
    const { status } = set.manifest;
    const reference = { path: request.path, node: to.node, storage: to.driver.describe(), status };
    return { reference, manifest: set.manifest, healed: false };
  }

  /** Resolves when no run is active. */
  async idle(): Promise<void> {
    while (this.#runs.size > 0) await Promise.all([...this.#runs.values()].map((entry) => entry.ended));
  }

  /** Cancels every run and refuses new ones; resolves when their clean-up is done. */
  async shutdown(reason: string): Promise<void> {
    this.#closing = reason;
    for (const runId of this.#runs.keys()) this.cancel(runId, reason);
    await this.idle();
  }

  async #execute(sealed: SealedRun): Promise<void> {
    const entry = this.#runs.get(sealed.id);
    if (entry === undefined) return;
    entry.nodes = entry.planning.nodes;
    this.#remember(
      sealed.id,
      sealed.joined.map(({ binding }) => binding),
    );
    const result = await this.#journalledRun(sealed, entry);
    await this.#journal.finished(result).catch((error: unknown) => {
      const message = `The history could not record run ${sealed.id}: ${toBackupError(error).message}`;
      this.events.emit('notice', { runId: sealed.id, level: 'error', message });
    });
    this.#runs.delete(sealed.id);
    this.#enter(sealed, entry, result.state);
    this.events.emit('finished', result);
    entry.end();
  }

  async #journalledRun(sealed: SealedRun, entry: RunEntry): Promise<RunResult> {
    try {
      await entry.journalled;
      await this.#journal.state(sealed.id, 'running');
    } catch (thrown) {
      return refuse(
        sealed,
        toBackupError(thrown, 'The run was not started, since it could not be journalled'),
      );
    }
    this.#enter(sealed, entry, 'running');
    return executeRun(sealed, {
      events: this.events,
      host: this.#host,
      stallMs: this.#stallMs,
      signal: entry.controller.signal,
    });
  }

  #enter(sealed: SealedRun, entry: RunEntry, state: RunState): void {
    entry.state = state;
    this.events.emit('state', { runId: sealed.id, job: sealed.job, state, nodes: entry.nodes });
  }

  #remember(runId: string, bindings: readonly DestinationBinding[]): void {
    this.#remembered.set(runId, [...(this.#remembered.get(runId) ?? []), ...bindings]);
    setTimeout(() => this.#remembered.delete(runId), this.#rememberMs).unref();
  }
}

/** The result of a run that was never started. */
function refuse(sealed: SealedRun, error: BackupError): RunResult {
  for (const joined of sealed.joined) joined.settle(error);
  return {
    runId: sealed.id,
    job: sealed.job,
    state: 'failed',
    openedAt: sealed.openedAt,
    finishedAt: new Date(),
    rawBytes: 0,
    artifacts: [],
    destinations: sealed.joined.map(({ binding }) => ({ node: binding.node, label: binding.label, error })),
    error,
  };
}
