import type { EventEmitter } from 'node:events';
import type { FailedArtifact, Manifest } from '../backupset/manifest.ts';
import { joinPath, StemAllocator } from '../backupset/names.ts';
import { completeSet } from '../backupset/writer.ts';
import { BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import type { SourceBinding } from '../plan/bindings.ts';
import type { PlanBranch, SourcePlan } from '../plan/plan-tree.ts';
import type { SealedRun } from '../plan/planning-run.ts';
import { PRODUCT } from '../product.ts';
import type { DatabaseInfo, Dump } from '../sources/driver.ts';
import { type Delivery, type PassResult, passArtifact } from './artifact-pass.ts';
import { DestinationRun } from './destination-run.ts';
import { healDestination } from './heal.ts';
import type { ArtifactOutcome, EngineEvents, FinalState, RunResult } from './outcome.ts';
import { ProgressMeter } from './progress.ts';
import { commit, transfer } from './transfer.ts';

export interface ExecutionContext {
  readonly events: EventEmitter<EngineEvents>;
  readonly host: string;
  readonly stallMs: number;
  readonly signal: AbortSignal;
}

interface DumpTask {
  readonly plan: SourcePlan;
  readonly binding: SourceBinding;
  readonly database: DatabaseInfo;
}

/**
 * Runs a sealed plan from the first database to the last manifest. Every destination is settled when
 * this resolves; it never rejects.
 */
export async function executeRun(run: SealedRun, context: ExecutionContext): Promise<RunResult> {
  return new RunExecution(run, context).execute();
}

class RunExecution {
  readonly #run: SealedRun;
  readonly #context: ExecutionContext;
  readonly #destinations: DestinationRun[];
  readonly #outcomes: ArtifactOutcome[] = [];
  readonly #stems = new StemAllocator();
  readonly #meter: ProgressMeter;
  #rawBytes = 0;

  constructor(run: SealedRun, context: ExecutionContext) {
    this.#run = run;
    this.#context = context;
    this.#destinations = run.joined.map((joined) => new DestinationRun(joined, run));
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
    let failure: BackupError | undefined;
    try {
      throwIfAborted(this.#context.signal);
      if (this.#destinations.length === 0) throw noDestination(this.#run);
      await this.#dumpAll();
      await this.#complete();
      await this.#heal();
    } catch (error) {
      failure = toBackupError(error);
    }
    await this.#discardUncommitted();
    return this.#conclude(failure);
  }

  async #dumpAll(): Promise<void> {
    const tasks = await this.#listTasks();
    for (const [index, task] of tasks.entries()) {
      throwIfAborted(this.#context.signal);
      if (!this.#destinations.some((destination) => destination.live)) return;
      await this.#dumpOne(task, index + 1, tasks.length);
    }
  }

  async #listTasks(): Promise<DumpTask[]> {
    const tasks: DumpTask[] = [];
    for (const plan of this.#run.plans) {
      const binding = this.#run.sources.get(plan.source.node);
      if (binding === undefined)
        throw new BackupError('internal', `Source ${plan.source.node} was never bound`);
      try {
        const databases = await binding.driver.listDatabases(this.#context.signal);
        if (databases.length === 0) {
          throw new BackupError(
            'not-found',
            `${binding.label} selects no database: check its list of databases`,
          );
        }
        tasks.push(...databases.map((database) => ({ plan, binding, database })));
      } catch (error) {
        throwIfAborted(this.#context.signal);
        this.#recordFailure(binding, binding.driver.describe(), new Date(), toBackupError(error));
      }
    }
    return tasks;
  }

  async #dumpOne(task: DumpTask, index: number, count: number): Promise<void> {
    const { binding, database } = task;
    const startedAt = new Date();
    try {
      const root = this.#liveBranch(task.plan.root);
      if (root === undefined) return;
      this.#meter.begin(database.name, index, count, database.bytes);
      const dump = await binding.driver.dump(database, this.#context.signal);
      this.#meter.begin(database.name, index, count, dump.expectedBytes ?? database.bytes);
      const rawFile = this.#stems.allocate(database.name) + dump.extension;
      const result = await this.#pass(dump, rawFile, root);
      for (const { destination, error } of result.lost) this.#drop(destination, error);
      const stored = await this.#commitDeliveries(result.deliveries);
      this.#recordStored(task, dump, { rawFile, startedAt, result, stored });
    } catch (error) {
      throwIfAborted(this.#context.signal);
      this.#recordFailure(binding, database.name, startedAt, toBackupError(error));
    }
  }

  #pass(dump: Dump, rawFile: string, root: PlanBranch): Promise<PassResult> {
    const { signal, stallMs } = this.#context;
    return passArtifact({
      dump,
      rawFile,
      root,
      transforms: this.#run.transforms,
      signal,
      deliver: (node, file, input, expectedBytes) => {
        const { binding, folder } = this.#destination(node);
        const onBytes = (total: number) => this.#meter.stored(node, total);
        return transfer({
          binding,
          path: joinPath(folder, file),
          input,
          expectedBytes,
          signal,
          stallMs,
          onBytes,
        });
      },
      onRawBytes: (total) => this.#meter.raw(total),
    });
  }

  /** The gate is passed: makes the file visible at each destination. One that cannot drops out. */
  async #commitDeliveries(deliveries: readonly Delivery[]): Promise<Delivery[]> {
    this.#meter.stage('committing');
    const committed = await Promise.all(
      deliveries.map(async (delivery) => {
        try {
          const { label } = this.#destination(delivery.destination).binding;
          await commit(delivery.pending, label, this.#context.stallMs);
          return delivery;
        } catch (error) {
          await delivery.pending.abort().catch(() => undefined);
          this.#drop(delivery.destination, toBackupError(error));
          return undefined;
        }
      }),
    );
    return committed.filter((delivery) => delivery !== undefined);
  }

  #recordStored(
    { binding, database }: DumpTask,
    dump: Dump,
    done: { rawFile: string; startedAt: Date; result: PassResult; stored: readonly Delivery[] },
  ): void {
    const { raw, proof } = done.result;
    if (done.stored.length === 0) return;
    this.#rawBytes += raw.bytes;
    this.#outcomes.push({ node: binding.node, database: database.name });
    for (const warning of proof.warnings) this.#notice('warn', `${database.name}: ${warning}`, binding.node);
    const finishedAt = new Date().toISOString();
    for (const delivery of done.stored) {
      this.#destination(delivery.destination).add({
        ...identity(binding, database.name, done.startedAt),
        finishedAt,
        status: 'ok',
        file: delivery.file,
        rawFile: done.rawFile,
        format: dump.format,
        engineVersion: dump.version,
        steps: [...delivery.steps],
        raw,
        stored: delivery.stored,
        proof: { statement: proof.statement, facts: { ...proof.facts } },
        warnings: [...proof.warnings],
      });
    }
  }

  #recordFailure(binding: SourceBinding, database: string, startedAt: Date, error: BackupError): void {
    this.#outcomes.push({ node: binding.node, database, error });
    const failed: FailedArtifact = {
      ...identity(binding, database, startedAt),
      finishedAt: new Date().toISOString(),
      status: 'failed',
      error: { code: error.code, message: error.message },
    };
    for (const destination of this.#destinations)
      if (destination.takesSource(binding.node)) destination.add(failed);
    this.#context.events.emit('artifactFailed', { runId: this.#run.id, node: binding.node, database, error });
  }

  async #complete(): Promise<void> {
    const finishedAt = new Date();
    this.#meter.stage('committing');
    const live = this.#destinations.filter((destination) => destination.live);
    await Promise.all(
      live.map(async (destination) => {
        if (destination.files.length === 0) return;
        try {
          throwIfAborted(this.#context.signal);
          const manifest = this.#manifest(destination, finishedAt);
          await completeSet(destination.binding.driver, destination.folder, manifest, this.#context.signal);
          destination.commit(manifest, false);
        } catch (error) {
          this.#drop(destination.node, toBackupError(error));
        }
      }),
    );
    throwIfAborted(this.#context.signal);
  }

  #manifest(destination: DestinationRun, finishedAt: Date): Manifest {
    const { id, job, openedAt } = this.#run;
    return {
      format: 'dbackup-manifest',
      version: 1,
      set: id,
      job,
      runId: id,
      host: this.#context.host,
      product: PRODUCT,
      startedAt: openedAt.toISOString(),
      finishedAt: finishedAt.toISOString(),
      status: destination.artifacts.every((artifact) => artifact.status === 'ok') ? 'complete' : 'partial',
      artifacts: [...destination.artifacts],
      recipe: { version: 1, runId: id, job, openedAt: openedAt.toISOString(), path: [...destination.path] },
    };
  }

  async #heal(): Promise<void> {
    const { signal, stallMs } = this.#context;
    for (const destination of this.#destinations.filter(({ live }) => !live)) {
      throwIfAborted(signal);
      this.#meter.stage('healing');
      const healed = await healDestination(destination, this.#destinations, {
        transforms: this.#run.transforms,
        signal,
        stallMs,
        onBytes: (total) => this.#meter.stored(destination.node, total),
      });
      if (healed === undefined) continue;
      this.#notice(
        'info',
        `${destination.binding.label} was healed by copying from ${healed}`,
        destination.node,
      );
    }
  }

  async #discardUncommitted(): Promise<void> {
    const left = this.#destinations.filter(({ committed }) => committed === undefined);
    await Promise.all(left.map((destination) => destination.discard()));
  }

  #conclude(failure: BackupError | undefined): RunResult {
    const state = this.#finalState(failure);
    const reason = failure ?? this.#outcomes.find(({ error }) => error !== undefined)?.error;
    const otherwise = reason ?? new BackupError('internal', `Run ${this.#run.id} stored nothing`);
    for (const destination of this.#destinations) destination.settle(otherwise);
    return {
      runId: this.#run.id,
      job: this.#run.job,
      state,
      openedAt: this.#run.openedAt,
      finishedAt: new Date(),
      rawBytes: this.#rawBytes,
      artifacts: this.#outcomes,
      destinations: this.#destinations.map(({ node, binding, committed, error }) => ({
        node,
        label: binding.label,
        ...(committed === undefined ? { error: error ?? otherwise } : { set: committed }),
      })),
      ...(failure === undefined ? {} : { error: failure }),
    };
  }

  #finalState(failure: BackupError | undefined): FinalState {
    if (this.#context.signal.aborted && failure !== undefined) return 'cancelled';
    const stored = this.#destinations.filter(({ committed }) => committed !== undefined).length;
    if (failure !== undefined || stored === 0) return 'failed';
    const whole =
      stored === this.#destinations.length && this.#outcomes.every(({ error }) => error === undefined);
    return whole ? 'succeeded' : 'partial';
  }

  #drop(node: string, error: BackupError): void {
    const destination = this.#destination(node);
    if (!destination.live) return;
    destination.fail(error);
    if (!this.#context.signal.aborted) {
      this.#notice('warn', `${destination.binding.label} dropped out: ${error.message}`, node);
    }
  }

  /** The tree without destinations that have dropped out; undefined when none is left. */
  #liveBranch(branch: PlanBranch): PlanBranch | undefined {
    const branches = branch.branches.flatMap((child) => this.#liveBranch(child) ?? []);
    const destinations = branch.destinations.filter((node) => this.#destination(node).live);
    if (branches.length === 0 && destinations.length === 0) return undefined;
    return { ...branch, branches, destinations };
  }

  #destination(node: string): DestinationRun {
    const found = this.#destinations.find((destination) => destination.node === node);
    if (found === undefined) throw new BackupError('internal', `Destination ${node} is not part of the run`);
    return found;
  }

  #notice(level: 'info' | 'warn', message: string, node: string): void {
    this.#context.events.emit('notice', { runId: this.#run.id, level, message, node });
  }
}

function identity(binding: SourceBinding, database: string, startedAt: Date) {
  return {
    node: binding.node,
    source: binding.driver.kind,
    origin: binding.driver.describe(),
    database,
    startedAt: startedAt.toISOString(),
  };
}

function noDestination(run: SealedRun): BackupError {
  return new BackupError(
    'invalid-config',
    `Run ${run.id} of ${run.job} reached no destination: wire a destination node after the source, and see the errors of the nodes between them`,
  );
}
