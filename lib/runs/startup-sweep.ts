import { orAbort } from '../abort.ts';
import type { RunFate } from '../backupset/orphans.ts';
import { type SweepReport, sweepStorage } from '../backupset/sweep-storage.ts';
import type { DestinationDriver } from '../destinations/driver.ts';
import { throwIfAborted } from '../errors.ts';
import type { DestinationBinding } from '../plan/bindings.ts';
import type { RunNotice } from './outcome.ts';

/** A storage is not swept again earlier than after that time, in ms. */
const PAUSE_MS = 1_000;
/** Longest time that a timer of Node takes, in ms. */
const MAX_TIMER_MS = 2 ** 31 - 1;

export interface StartupSweepOptions {
  /** How long nothing must have been written to what is removed, in ms; 0 removes nothing, ever. */
  readonly graceMs: number;
  /** What the history knows of these runs. */
  fates(runIds: readonly string[]): Promise<ReadonlyMap<string, RunFate>>;
  /** True while this process writes a set of that run. */
  isWriting(runId: string): boolean;
  tell(notice: Omit<RunNotice, 'runId'>): void;
  readonly signal: AbortSignal;
}

interface SweptStorage {
  readonly driver: DestinationDriver;
  readonly prefixes: string[];
  /** The destination that speaks of it. */
  readonly node: string;
}

/**
 * Removes what killed runs have left in the storages of a flow: once for each after the start, and once more when
 * what was too young has come of age. In the background, one storage at a time; whatever goes wrong is told and
 * keeps nobody.
 */
export class StartupSweep {
  readonly #options: StartupSweepOptions;
  #added: (() => DestinationBinding)[] = [];
  /** Storages and folders that were taken up already. */
  readonly #known = new Set<string>();
  /** What was told to be looked at by a person: once is enough. */
  readonly #doubted = new Set<string>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #work: Promise<void> = Promise.resolve();

  constructor(options: StartupSweepOptions) {
    this.#options = options;
    options.signal.addEventListener('abort', () => {
      for (const timer of this.#timers) clearTimeout(timer);
    });
  }

  /** A destination of the flow. Where it stores is asked when the flow has started: its storage starts later. */
  add(binding: () => DestinationBinding): void {
    this.#added.push(binding);
  }

  /** The flow has started: what was added and is not known yet is swept from now on. */
  begin(): void {
    const added = this.#added;
    this.#added = [];
    if (this.#options.graceMs === 0) return;
    for (const storage of this.#newStorages(added)) this.#enqueue(storage);
  }

  /** Resolves when nothing is swept at the moment. Never rejects. */
  async idle(): Promise<void> {
    let work: Promise<void> | undefined;
    while (work !== this.#work) {
      work = this.#work;
      await work;
    }
  }

  #newStorages(added: readonly (() => DestinationBinding)[]): SweptStorage[] {
    const storages = new Map<string, SweptStorage>();
    for (const { driver, prefix, node } of added.flatMap(bindingOrNone)) {
      const where = driver.describe();
      if (this.#known.has(`${where}\n${prefix}`)) continue;
      this.#known.add(`${where}\n${prefix}`);
      const storage = storages.get(where) ?? { driver, prefixes: [], node };
      storages.set(where, storage);
      storage.prefixes.push(prefix);
    }
    return [...storages.values()];
  }

  #enqueue(storage: SweptStorage): void {
    // Only an abort rejects: there is nobody to tell then.
    this.#work = this.#work.then(() => this.#sweep(storage)).catch(() => undefined);
  }

  async #sweep(storage: SweptStorage): Promise<void> {
    const { graceMs, isWriting, signal } = this.#options;
    throwIfAborted(signal);
    const fates = (ids: readonly string[]) => orAbort(this.#options.fates(ids), signal);
    const report = await sweepStorage({ ...storage, graceMs, remove: true, fates, isWriting, signal });
    this.#tell(report, storage.node);
    if (report.again !== undefined) this.#schedule(storage, report.again.getTime() - Date.now());
  }

  #schedule(storage: SweptStorage, inMs: number): void {
    if (inMs > MAX_TIMER_MS || this.#options.signal.aborted) return;
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer);
        this.#enqueue(storage);
      },
      Math.max(PAUSE_MS, inMs),
    );
    timer.unref();
    this.#timers.add(timer);
  }

  #tell(report: SweepReport, node: string): void {
    const { tell } = this.#options;
    const removed = describeRemoved(report);
    if (removed !== undefined) tell({ level: 'info', message: removed, node });
    for (const { path, why, reason } of report.left) {
      const where = `${report.storage}\n${path}`;
      if (why !== 'doubtful' || this.#doubted.has(where)) continue;
      this.#doubted.add(where);
      tell({ level: 'info', message: `${path} is not swept: ${reason}`, node });
    }
    if (report.error === undefined) return;
    const message = `What interrupted runs may have left in ${report.storage} was not removed: ${report.error.message}`;
    tell({ level: 'warn', message, node });
  }
}

/** One whose storage is not set up tells so itself. */
function bindingOrNone(binding: () => DestinationBinding): DestinationBinding[] {
  try {
    return [binding()];
  } catch {
    return [];
  }
}

/** What a sweep removed, for people; undefined when that is nothing. */
function describeRemoved({ storage, unfinished = [], folders }: SweepReport): string | undefined {
  const parts = [
    ...(unfinished.length === 0 ? [] : [counted(unfinished.length, 'unfinished file')]),
    ...folders.map(({ path, files }) => `${path} without a manifest (${counted(files, 'file')})`),
  ];
  if (parts.length === 0) return undefined;
  return `Removed from ${storage} what interrupted runs had left: ${parts.join(', ')}`;
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
