import type { EventEmitter } from 'node:events';
import { BackupError, messageAbout } from '../errors.ts';
import type { PlanBranch } from '../plan/plan-tree.ts';
import type { ArtifactOutcome, EngineEvents, RunNotice } from '../runs/outcome.ts';
import type { Delivery } from './artifact-pass.ts';
import { DestinationRun } from './destination-run.ts';
import { inOrder } from './in-order.ts';
import type { SealedRun } from './planning-run.ts';
import type { Retries } from './retries.ts';
import { type ArtifactSubject, failedArtifact, type StoredDump, storedArtifact } from './run-manifest.ts';

export interface AccountContext {
  readonly events: EventEmitter<EngineEvents>;
  readonly host: string;
  readonly stallMs: number;
  readonly retries: Retries;
  readonly signal: AbortSignal;
}

/** What a run has come to so far: each database's outcome, and the destinations with what they hold. */
export class RunAccount {
  readonly destinations: readonly DestinationRun[];
  readonly #runId: string;
  readonly #job: string;
  readonly #context: AccountContext;
  readonly #artifacts = new Map<number, ArtifactOutcome>();
  /** By the place of the database, which may be dumped more than once. */
  readonly #rawBytes = new Map<number, number>();

  constructor(run: SealedRun, context: AccountContext) {
    this.#runId = run.id;
    this.#job = run.job;
    this.#context = context;
    this.destinations = run.joined.map((joined) => new DestinationRun(joined, run, context));
  }

  /** Raw bytes of the databases that are stored somewhere. */
  get rawBytes(): number {
    return [...this.#rawBytes.values()].reduce((total, bytes) => total + bytes, 0);
  }

  /** In the order of the listing. */
  get artifacts(): ArtifactOutcome[] {
    return inOrder(this.#artifacts);
  }

  destination(node: string): DestinationRun {
    const found = this.destinations.find((destination) => destination.node === node);
    if (found === undefined) throw new BackupError('internal', `Destination ${node} is not part of the run`);
    return found;
  }

  /** A destination that failed takes no further part; its first error is kept. */
  drop(node: string, error: BackupError): void {
    const destination = this.destination(node);
    if (!destination.live) return;
    destination.fail(error, this.#context.retries.now());
    if (this.#context.signal.aborted) return;
    this.notice('warn', `${destination.binding.label} dropped out: ${error.message}`, node);
  }

  recordStored(subject: ArtifactSubject, stored: StoredDump, committed: readonly Delivery[]): void {
    const { binding, database, place } = subject;
    this.#rawBytes.set(place, stored.raw.bytes);
    this.#artifacts.set(place, { node: binding.node, database });
    this.noticeWarnings(subject, stored.proof.warnings);
    for (const delivery of committed) {
      this.destination(delivery.destination).add(place, storedArtifact(subject, stored, delivery));
    }
  }

  /** It is known what became of the database at that place of the listing. */
  isDecided(place: number): boolean {
    return this.#artifacts.has(place);
  }

  /** The set of a destination was read back. @param error why it does not hold, if so */
  verified({ node, binding, folder }: DestinationRun, error?: BackupError): void {
    const storage = binding.driver.describe();
    const where = { node, storage, path: folder.path };
    const why = error === undefined ? {} : { error };
    this.#context.events.emit('setVerified', { runId: this.#runId, job: this.#job, ...where, ...why });
  }

  /** The database was not at fault, or not even dumped: there was no destination to take it. */
  recordUntaken(
    { binding, database, place }: Pick<ArtifactSubject, 'binding' | 'database' | 'place'>,
    root: PlanBranch,
  ): void {
    const gone = this.destinations.find(({ node, error }) => error !== undefined && leadsTo(root, node));
    const why = gone?.error === undefined ? '' : `: ${gone.error.message}`;
    const error = new BackupError(
      gone?.error?.code ?? 'unavailable',
      `No destination was left to take ${database}${why}`,
      { transient: gone?.error?.transient ?? false },
    );
    this.#artifacts.set(place, { node: binding.node, database, error });
  }

  recordFailure(subject: ArtifactSubject, error: BackupError): void {
    const { binding, database, place } = subject;
    const failed = failedArtifact(subject, error, this.#context.retries.date());
    let isStored = false;
    for (const destination of this.destinations) {
      // Dumped once more for others: those that hold it keep it.
      if (destination.holds(place)) isStored = true;
      else if (destination.takesSource(binding.node)) destination.add(place, failed);
    }
    if (isStored) {
      this.notice('warn', messageAbout(database, error.message), binding.node);
      return;
    }
    this.#artifacts.set(place, { node: binding.node, database, error });
    const { events } = this.#context;
    events.emit('artifactFailed', { runId: this.#runId, node: binding.node, database, error });
  }

  noticeWarnings({ binding, database }: ArtifactSubject, warnings: readonly string[]): void {
    for (const warning of warnings) this.notice('warn', messageAbout(database, warning), binding.node);
  }

  notice(level: RunNotice['level'], message: string, node: string): void {
    this.#context.events.emit('notice', { runId: this.#runId, level, message, node });
  }
}

function leadsTo(branch: PlanBranch, destination: string): boolean {
  return (
    branch.destinations.includes(destination) || branch.branches.some((child) => leadsTo(child, destination))
  );
}
