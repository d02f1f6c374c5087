import { FileNameAllocator } from '../backupset/names.ts';
import { throwIfAborted, toBackupError } from '../errors.ts';
import { livePart, type PlanBranch } from '../plan/plan-tree.ts';
import type { DumpLane } from '../sources/driver.ts';
import { type Delivery, passArtifact } from './artifact-pass.ts';
import { type DumpTask, listDumpTasks } from './dump-tasks.ts';
import { enterLane } from './lane.ts';
import { OpenDump } from './open-dump.ts';
import type { SealedRun } from './planning-run.ts';
import type { DumpMeter, ProgressMeter } from './progress.ts';
import type { RunAccount } from './run-account.ts';
import type { ArtifactSubject } from './run-manifest.ts';

/**
 * Dumps every database that the run's sources select: source after source, the databases of one as many at a
 * time as its lane and the destinations allow. What fails is recorded and leaves the others alone.
 * @throws BackupError when the signal aborts; no dump is under way any more then
 */
export async function dumpAll(
  run: SealedRun,
  account: RunAccount,
  meter: ProgressMeter,
  signal: AbortSignal,
): Promise<void> {
  return new DumpPhase(run, account, meter, signal).run();
}

class DumpPhase {
  readonly #run: SealedRun;
  readonly #account: RunAccount;
  readonly #meter: ProgressMeter;
  readonly #signal: AbortSignal;
  readonly #fileNames = new FileNameAllocator();
  #count = 0;

  constructor(run: SealedRun, account: RunAccount, meter: ProgressMeter, signal: AbortSignal) {
    this.#run = run;
    this.#account = account;
    this.#meter = meter;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    const { tasks, failures } = await listDumpTasks(this.#run, this.#signal);
    for (const { binding, place, startedAt, error } of failures) {
      const subject = { binding, place, startedAt, database: binding.driver.describe(), warnings: [] };
      this.#account.recordFailure(subject, error);
    }
    this.#count = tasks.flat().length;
    for (const ofSource of tasks) await this.#dumpSource(ofSource);
  }

  /** Waits for no more turns than it can use, so that other runs get theirs. */
  async #dumpSource(tasks: readonly DumpTask[]): Promise<void> {
    const lane = tasks[0]?.binding.driver.lane;
    const left = tasks.values();
    const work = async () => {
      for (const task of left) await this.#dumpInLane(task, lane);
    };
    const ends = await Promise.allSettled(Array.from({ length: this.#parallel(lane) }, work));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  #parallel(lane: DumpLane | undefined): number {
    const storages = this.#account.destinations.map(({ binding }) => binding.driver.properties.concurrency);
    return Math.max(1, Math.min(lane?.limit ?? 1, ...storages));
  }

  async #dumpInLane(task: DumpTask, lane: DumpLane | undefined): Promise<void> {
    throwIfAborted(this.#signal);
    const leave = lane === undefined ? undefined : await enterLane(lane, this.#signal);
    try {
      await this.#dump(task);
    } finally {
      leave?.();
    }
  }

  async #dump(task: DumpTask): Promise<void> {
    const { binding, database, plan, place } = task;
    const { name, bytes, warnings = [] } = database;
    const subject = { binding, place, warnings, database: name, startedAt: new Date() };
    const root = livePart(plan.root, (node) => this.#account.destination(node).live);
    if (root === undefined) return this.#account.recordUntaken(subject, plan.root);
    const meter = this.#meter.begin(name, this.#count, bytes);
    this.#account.noticeWarnings(subject, warnings);
    let open: OpenDump | undefined;
    try {
      open = await OpenDump.open(binding.driver, database, this.#signal);
      meter.started(open.dump.expectedBytes ?? bytes);
      const rawFile = this.#fileNames.allocate(name, open.dump.extension, task.namesake);
      await this.#passAndCommit({ subject, open, rawFile, root, meter });
    } catch (error) {
      throwIfAborted(this.#signal);
      this.#account.recordFailure(subject, toBackupError(error));
    } finally {
      await open?.close();
      meter.end();
    }
  }

  async #passAndCommit({ subject, open, rawFile, root, meter }: OpenPass): Promise<void> {
    const { raw, proof, deliveries, lost } = await passArtifact({
      open,
      rawFile,
      root,
      transforms: this.#run.transforms,
      signal: this.#signal,
      folderOf: (node) => this.#account.destination(node).folder,
      onRawBytes: (total) => meter.raw(total),
      onStoredBytes: (node, total) => meter.stored(node, total),
    });
    for (const { destination, error } of lost) this.#account.drop(destination, error);
    meter.committing();
    const committed = proof === undefined ? [] : await this.#commitAll(deliveries);
    if (proof === undefined || committed.length === 0) return this.#account.recordUntaken(subject, root);
    const stored = { dump: open.dump, rawFile, raw, proof, finishedAt: new Date() };
    this.#account.recordStored(subject, stored, committed);
  }

  /** The gate is passed: makes the file visible at each destination. One that cannot drops out. */
  async #commitAll(deliveries: readonly Delivery[]): Promise<Delivery[]> {
    const committed: Delivery[] = [];
    const outcomes = await Promise.allSettled(deliveries.map(({ staged }) => staged.commit()));
    for (const [index, delivery] of deliveries.entries()) {
      const outcome = outcomes[index];
      if (outcome?.status === 'fulfilled') committed.push(delivery);
      else this.#account.drop(delivery.destination, toBackupError(outcome?.reason));
    }
    return committed;
  }
}

interface OpenPass {
  readonly subject: ArtifactSubject;
  readonly open: OpenDump;
  /** File name before any step: `shop.sqlite`. */
  readonly rawFile: string;
  readonly root: PlanBranch;
  readonly meter: DumpMeter;
}
