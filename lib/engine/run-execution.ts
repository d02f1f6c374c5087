import type { EventEmitter } from 'node:events';
import { FileNameAllocator } from '../backupset/names.ts';
import { completeSet } from '../backupset/writer.ts';
import { BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import type { SourceBinding } from '../plan/bindings.ts';
import { livePart, type PlanBranch } from '../plan/plan-tree.ts';
import type { ArtifactOutcome, EngineEvents, RunNotice, RunResult } from '../runs/outcome.ts';
import type { DumpProof } from '../sources/driver.ts';
import { type Delivery, type Lost, passArtifact } from './artifact-pass.ts';
import { concludeRun } from './conclusion.ts';
import { DestinationRun } from './destination-run.ts';
import { type DumpTask, listDumpTasks } from './dump-tasks.ts';
import { healDestination } from './heal.ts';
import { OpenDump } from './open-dump.ts';
import type { SealedRun } from './planning-run.ts';
import { ProgressMeter } from './progress.ts';
import {
  type ArtifactSubject,
  failedArtifact,
  runManifest,
  type StoredDump,
  storedArtifact,
} from './run-manifest.ts';

export interface ExecutionContext {
  readonly events: EventEmitter<EngineEvents>;
  readonly host: string;
  readonly stallMs: number;
  readonly signal: AbortSignal;
}

/**
 * Runs a sealed plan from the first database to the last manifest. Every destination is settled when
 * this resolves, and what belongs to no set is removed.
 */
export async function executeRun(run: SealedRun, context: ExecutionContext): Promise<RunResult> {
  return new RunExecution(run, context).execute();
}

class RunExecution {
  readonly #run: SealedRun;
  readonly #context: ExecutionContext;
  readonly #destinations: DestinationRun[];
  readonly #artifacts: ArtifactOutcome[] = [];
  readonly #fileNames = new FileNameAllocator();
  readonly #meter: ProgressMeter;
  #rawBytes = 0;

  constructor(run: SealedRun, context: ExecutionContext) {
    this.#run = run;
    this.#context = context;
    this.#destinations = run.joined.map((joined) => new DestinationRun(joined, run, context));
    const nodes = [
      ...run.sources.keys(),
      ...run.transforms.keys(),
      ...this.#destinations.map(({ node }) => node),
    ];
    this.#meter = new ProgressMeter({ runId: run.id, job: run.job, nodes }, (progress) =>
      context.events.emit('progress', progress),
    );
  }

  async execute(): Promise<RunResult> {
    const { signal } = this.#context;
    let failure: BackupError | undefined;
    try {
      throwIfAborted(signal);
      if (this.#destinations.length === 0) throw noDestination(this.#run);
      await this.#dumpAll();
      await this.#complete();
      await this.#heal();
    } catch (error) {
      failure = toBackupError(error);
    }
    await this.#discardUncommitted();
    return concludeRun(this.#run, {
      destinations: this.#destinations,
      artifacts: this.#artifacts,
      rawBytes: this.#rawBytes,
      failure,
      cancelled: signal.aborted,
    });
  }

  async #dumpAll(): Promise<void> {
    const { tasks, failures } = await listDumpTasks(this.#run, this.#context.signal);
    for (const { binding, startedAt, error } of failures) {
      this.#recordFailure({ binding, database: binding.driver.describe(), startedAt }, error);
    }
    for (const [index, task] of tasks.entries()) {
      throwIfAborted(this.#context.signal);
      await this.#dumpOne(task, index + 1, tasks.length);
    }
  }

  async #dumpOne(task: DumpTask, index: number, count: number): Promise<void> {
    const { binding, database, plan } = task;
    const { signal } = this.#context;
    const subject = { binding, database: database.name, startedAt: new Date() };
    const root = livePart(plan.root, (node) => this.#destination(node).live);
    if (root === undefined) return this.#recordUntaken(subject, plan.root);
    let open: OpenDump | undefined;
    try {
      this.#meter.begin(database.name, index, count, database.bytes);
      open = await OpenDump.open(binding.driver, database, signal);
      this.#meter.begin(database.name, index, count, open.dump.expectedBytes ?? database.bytes);
      await this.#passAndCommit(subject, open, root);
    } catch (error) {
      throwIfAborted(signal);
      this.#recordFailure(subject, toBackupError(error));
    } finally {
      await open?.close();
    }
  }

  async #passAndCommit(subject: ArtifactSubject, open: OpenDump, root: PlanBranch): Promise<void> {
    const rawFile = this.#fileNames.allocate(subject.database, open.dump.extension);
    const { raw, proof, deliveries, lost } = await passArtifact({
      open,
      rawFile,
      root,
      transforms: this.#run.transforms,
      signal: this.#context.signal,
      folderOf: (node) => this.#destination(node).folder,
      onRawBytes: (total) => this.#meter.raw(total),
      onStoredBytes: (node, total) => this.#meter.stored(node, total),
    });
    this.#dropAll(lost);
    const committed = proof === undefined ? [] : await this.#commitAll(deliveries);
    if (proof === undefined || committed.length === 0) return this.#recordUntaken(subject, root);
    this.#recordStored(subject, { dump: open.dump, rawFile, raw, proof, finishedAt: new Date() }, committed);
  }

  /** The gate is passed: makes the file visible at each destination. One that cannot drops out. */
  async #commitAll(deliveries: readonly Delivery[]): Promise<Delivery[]> {
    this.#meter.stage('committing');
    const committed: Delivery[] = [];
    const outcomes = await Promise.allSettled(deliveries.map(({ staged }) => staged.commit()));
    for (const [index, delivery] of deliveries.entries()) {
      const outcome = outcomes[index];
      if (outcome?.status === 'fulfilled') committed.push(delivery);
      else this.#drop(delivery.destination, toBackupError(outcome?.reason));
    }
    return committed;
  }

  #recordStored(subject: ArtifactSubject, stored: StoredDump, committed: readonly Delivery[]): void {
    const { binding, database } = subject;
    this.#rawBytes += stored.raw.bytes;
    this.#artifacts.push({ node: binding.node, database });
    this.#noticeWarnings(binding, database, stored.proof);
    for (const delivery of committed) {
      this.#destination(delivery.destination).add(storedArtifact(subject, stored, delivery));
    }
  }

  /** The database was not at fault, or not even dumped: there was no destination to take it. */
  #recordUntaken({ binding, database }: ArtifactSubject, root: PlanBranch): void {
    const gone = this.#destinations.find(({ node, live }) => !live && leadsTo(root, node));
    const why = gone?.error === undefined ? '' : `: ${gone.error.message}`;
    const error = new BackupError(
      gone?.error?.code ?? 'unavailable',
      `No destination was left to take ${database}${why}`,
      { transient: gone?.error?.transient ?? false },
    );
    this.#artifacts.push({ node: binding.node, database, error });
  }

  #recordFailure(subject: ArtifactSubject, error: BackupError): void {
    const { binding, database } = subject;
    this.#artifacts.push({ node: binding.node, database, error });
    const failed = failedArtifact(subject, error);
    for (const destination of this.#destinations)
      if (destination.takesSource(binding.node)) destination.add(failed);
    this.#context.events.emit('artifactFailed', { runId: this.#run.id, node: binding.node, database, error });
  }

  async #complete(): Promise<void> {
    const { host, signal } = this.#context;
    const finishedAt = new Date();
    this.#meter.stage('committing');
    const live = this.#destinations.filter((destination) => destination.live);
    await Promise.all(
      live.map(async (destination) => {
        if (destination.stored.length === 0) return;
        try {
          throwIfAborted(signal);
          const manifest = runManifest(this.#run, destination, { host, finishedAt });
          await completeSet(destination.folder, manifest);
          destination.commit(manifest, false);
        } catch (error) {
          this.#drop(destination.node, toBackupError(error));
        }
      }),
    );
  }

  async #heal(): Promise<void> {
    const { signal } = this.#context;
    for (const destination of this.#destinations.filter(({ live }) => !live)) {
      throwIfAborted(signal);
      this.#meter.stage('healing');
      const { node, binding } = destination;
      const healed = await healDestination(destination, this.#destinations, {
        transforms: this.#run.transforms,
        signal,
        onBytes: (total) => this.#meter.stored(node, total),
      });
      if (healed === undefined) continue;
      this.#notice('info', `${binding.label} was healed by copying from ${healed}`, node);
    }
  }

  async #discardUncommitted(): Promise<void> {
    const left = this.#destinations.filter(({ committed }) => committed === undefined);
    await Promise.all(left.map(({ folder }) => folder.discard()));
  }

  #dropAll(lost: readonly Lost[]): void {
    for (const { destination, error } of lost) this.#drop(destination, error);
  }

  #drop(node: string, error: BackupError): void {
    const destination = this.#destination(node);
    if (!destination.live) return;
    destination.fail(error);
    if (this.#context.signal.aborted) return;
    this.#notice('warn', `${destination.binding.label} dropped out: ${error.message}`, node);
  }

  #destination(node: string): DestinationRun {
    const found = this.#destinations.find((destination) => destination.node === node);
    if (found === undefined) throw new BackupError('internal', `Destination ${node} is not part of the run`);
    return found;
  }

  #noticeWarnings({ node }: SourceBinding, database: string, { warnings }: DumpProof): void {
    for (const warning of warnings) this.#notice('warn', `${database}: ${warning}`, node);
  }

  #notice(level: RunNotice['level'], message: string, node: string): void {
    this.#context.events.emit('notice', { runId: this.#run.id, level, message, node });
  }
}

function leadsTo(branch: PlanBranch, destination: string): boolean {
  return (
    branch.destinations.includes(destination) || branch.branches.some((child) => leadsTo(child, destination))
  );
}

function noDestination(run: SealedRun): BackupError {
  return new BackupError(
    'invalid-config',
    `Run ${run.id} of ${run.job} reached no destination: wire a destination node after the source, and see the errors of the nodes between them`,
  );
}
