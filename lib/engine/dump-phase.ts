import { FileNameAllocator } from '../backupset/names.ts';
import { BackupError, messageAbout, throwIfAborted, toBackupError } from '../errors.ts';
import { livePart, type PlanBranch } from '../plan/plan-tree.ts';
import type { DumpLane } from '../sources/driver.ts';
import { type Delivery, passArtifact } from './artifact-pass.ts';
import type { DestinationRun } from './destination-run.ts';
import { type DumpTask, listDumpTasks } from './dump-tasks.ts';
import { enterLane } from './lane.ts';
import { OpenDump } from './open-dump.ts';
import type { SealedRun } from './planning-run.ts';
import type { DumpMeter, ProgressMeter } from './progress.ts';
import { attemptText, type Retries } from './retries.ts';
import type { RunAccount } from './run-account.ts';
import type { ArtifactSubject } from './run-manifest.ts';

export interface DumpContext {
  readonly account: RunAccount;
  readonly meter: ProgressMeter;
  readonly retries: Retries;
  readonly signal: AbortSignal;
}

/** A database of the run, and what its dumps have come to. */
interface Database extends DumpTask {
  /** How often its dump was begun. */
  attempts: number;
  /** Why its last dump failed, when that was a passing trouble of the source. */
  failure?: BackupError;
  /** File name before any step, the same for each of its dumps. */
  rawFile?: string;
}

/**
 * The dumps of a run: source after source, the databases of one as many at a time as its lane and the
 * destinations allow. What fails is recorded and leaves the others alone; passing troubles of a source are
 * tried again when everything else is done.
 */
export class DumpPhase {
  readonly #run: SealedRun;
  readonly #context: DumpContext;
  readonly #fileNames = new FileNameAllocator();
  /** A list for each source, in the order of the plan. */
  #databases: readonly (readonly Database[])[] = [];

  constructor(run: SealedRun, context: DumpContext) {
    this.#run = run;
    this.#context = context;
  }

  /**
   * Finds out what there is to dump. A source that cannot tell fails alone.
   * @throws BackupError when the signal aborts
   */
  async list(): Promise<void> {
    const { tasks, failures } = await listDumpTasks(this.#run, this.#context);
    for (const { binding, place, startedAt, error } of failures) {
      const subject = { binding, place, startedAt, database: binding.driver.describe(), warnings: [] };
      this.#context.account.recordFailure(subject, error);
    }
    this.#databases = tasks.map((ofSource) => ofSource.map((task) => ({ ...task, attempts: 0 })));
  }

  /**
   * Dumps to each live destination what it lacks, and nothing to those that have it.
   * @throws BackupError when the signal aborts; no dump is under way any more then
   */
  async dumpMissing(): Promise<void> {
    const tried = new Set<Database>();
    for (;;) {
      this.#dropIncomplete();
      const due = this.#databases.map((ofSource) => ofSource.filter((database) => this.#isDue(database)));
      if (due.flat().length === 0) return;
      const again = due.flat().filter((database) => tried.has(database));
      if (again.length > 0) await this.#pauseFor(again);
      for (const database of due.flat()) tried.add(database);
      for (const ofSource of due) await this.#dumpSource(ofSource);
    }
  }

  /** How many more attempts the databases allow that this destination lacks: none lacking, any number. */
  attemptsLeft(destination: DestinationRun): number {
    const { databaseAttempts } = this.#context.retries.limits;
    const lacking = this.#databases.flat().filter((database) => isLacking(destination, database));
    return Math.min(...lacking.map(({ attempts }) => databaseAttempts - attempts));
  }

  /** Databases that were not dumped, since no destination was left for them, or that none has taken. */
  recordUntaken(): void {
    const { account } = this.#context;
    for (const { binding, database, place, plan } of this.#databases.flat()) {
      if (!account.isDecided(place))
        account.recordUntaken({ binding, database: database.name, place }, plan.root);
    }
  }

  #isDue(database: Database): boolean {
    if (database.attempts >= this.#context.retries.limits.databaseAttempts) return false;
    return this.#context.account.destinations.some((each) => each.live && isLacking(each, database));
  }

  /** A set must not be completed that lacks a database which cannot be dumped any more. */
  #dropIncomplete(): void {
    const { account } = this.#context;
    for (const destination of account.destinations) {
      if (!destination.live || this.attemptsLeft(destination) > 0) continue;
      const lacking = this.#databases.flat().filter((database) => isLacking(destination, database));
      const names = lacking.map(({ database }) => database.name).join(', ');
      const first = destination.first === undefined ? '' : `${destination.first.message}. `;
      const message = `${first}${names} cannot be dumped again: that was done as often as a run may`;
      account.drop(destination.node, new BackupError('incomplete', message));
    }
  }

  async #pauseFor(databases: readonly Database[]): Promise<void> {
    const { account, meter, retries, signal } = this.#context;
    const attempts = retries.limits.databaseAttempts;
    const attempt = Math.max(...databases.map((database) => database.attempts)) + 1;
    const ms = retries.pauseAfter(attempt - 1);
    const next = { attempt, attempts, seconds: Math.ceil(ms / 1000) };
    for (const { binding, database, failure } of databases) {
      const why = messageAbout(database.name, failure?.message ?? 'no destination took it', ' failed');
      account.notice('warn', `${why}; ${attemptText(next)}`, binding.node);
    }
    const nodes = [...new Set(databases.map(({ binding }) => binding.node))];
    await retries.wait(ms, signal, (seconds) => meter.waiting({ ...next, nodes, seconds }));
  }

  /** Waits for no more turns than it can use, so that other runs get theirs. */
  async #dumpSource(databases: readonly Database[]): Promise<void> {
    const lane = databases[0]?.binding.driver.lane;
    const left = databases.values();
    const work = async () => {
      for (const database of left) await this.#dumpInLane(database, lane);
    };
    const ends = await Promise.allSettled(Array.from({ length: this.#parallel(lane) }, work));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  #parallel(lane: DumpLane | undefined): number {
    const { destinations } = this.#context.account;
    const storages = destinations.map(({ binding }) => binding.driver.properties.concurrency);
    return Math.max(1, Math.min(lane?.limit ?? 1, ...storages));
  }

  async #dumpInLane(database: Database, lane: DumpLane | undefined): Promise<void> {
    const { signal } = this.#context;
    throwIfAborted(signal);
    const leave = lane === undefined ? undefined : await enterLane(lane, signal);
    try {
      await this.#dump(database);
    } finally {
      leave?.();
    }
  }

  async #dump(database: Database): Promise<void> {
    const { account, meter, retries, signal } = this.#context;
    const { binding, database: info, plan, place } = database;
    const { name, bytes, warnings = [] } = info;
    const subject = { binding, place, warnings, database: name, startedAt: retries.date() };
    const root = livePart(plan.root, (node) => this.#takes(account.destination(node), database));
    if (root === undefined) return;
    const count = this.#databases.flat().length;
    database.attempts += 1;
    const dumpMeter = meter.begin(name, count, bytes, database.attempts);
    if (database.attempts === 1) account.noticeWarnings(subject, warnings);
    delete database.failure;
    let open: OpenDump | undefined;
    try {
      open = await OpenDump.open(binding.driver, info, signal);
      dumpMeter.started(open.dump.expectedBytes ?? bytes);
      database.rawFile ??= this.#fileNames.allocate(name, open.dump.extension, database.namesake);
      await this.#passAndCommit({ subject, open, rawFile: database.rawFile, root, meter: dumpMeter });
    } catch (error) {
      throwIfAborted(signal);
      this.#failed(database, subject, toBackupError(error));
    } finally {
      await open?.close();
      dumpMeter.end();
    }
  }

  #takes(destination: DestinationRun, database: Database): boolean {
    return destination.live && destination.lacks(database.place);
  }

  /** A passing trouble of the source: nothing is recorded, so that the destinations go on lacking the database. */
  #failed(database: Database, subject: ArtifactSubject, error: BackupError): void {
    const { account, retries } = this.#context;
    const { attempts } = database;
    if (error.transient && attempts < retries.limits.databaseAttempts) database.failure = error;
    else account.recordFailure(subject, attempts === 1 ? error : afterAttempts(error, attempts));
  }

  async #passAndCommit({ subject, open, rawFile, root, meter }: OpenPass): Promise<void> {
    const { account, signal } = this.#context;
    const { raw, proof, deliveries, lost } = await passArtifact({
      open,
      rawFile,
      root,
      transforms: this.#run.transforms,
      signal,
      folderOf: (node) => account.destination(node).folder,
      onRawBytes: (total) => meter.raw(total),
      onStoredBytes: (node, total) => meter.stored(node, total),
    });
    for (const { destination, error } of lost) account.drop(destination, error);
    meter.committing();
    const committed = proof === undefined ? [] : await this.#commitAll(deliveries);
    if (proof === undefined || committed.length === 0) return;
    const stored = { dump: open.dump, rawFile, raw, proof, finishedAt: this.#context.retries.date() };
    account.recordStored(subject, stored, committed);
  }

  /** The gate is passed: makes the file visible at each destination. One that cannot drops out. */
  async #commitAll(deliveries: readonly Delivery[]): Promise<Delivery[]> {
    const { account } = this.#context;
    const committed: Delivery[] = [];
    const outcomes = await Promise.allSettled(deliveries.map(({ staged }) => staged.commit()));
    for (const [index, delivery] of deliveries.entries()) {
      const outcome = outcomes[index];
      if (outcome?.status === 'fulfilled') committed.push(delivery);
      else account.drop(delivery.destination, toBackupError(outcome?.reason));
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

function isLacking(destination: DestinationRun, { place, binding }: Database): boolean {
  return destination.takesSource(binding.node) && destination.lacks(place);
}

function afterAttempts(error: BackupError, attempts: number): BackupError {
  const { code, transient, message } = error;
  return new BackupError(code, `${message} (after ${attempts} attempts)`, { transient, cause: error });
}
