import { orAbort } from '../abort.ts';
import type { DestinationDriver, ObjectInfo } from '../destinations/driver.ts';
import { isTemporaryName } from '../destinations/temporary-names.ts';
import { type BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import {
  findSetFolders,
  isClockBehind,
  isPathOfSetFile,
  judgeOrphan,
  type Reprieve,
  type RunFate,
  type SetFolderFound,
  type Verdict,
} from './orphans.ts';
import { removeFiles } from './remove-files.ts';

export interface SweepRequest {
  readonly driver: DestinationDriver;
  /** Folders of the storage that destinations store their jobs in. */
  readonly prefixes: readonly string[];
  /** How long nothing must have been written to what is removed, in ms. */
  readonly graceMs: number;
  /** Without it, only tells what would be removed. */
  readonly remove: boolean;
  /** What the history knows of these runs. Asked only when there is something to judge. */
  fates(runIds: readonly string[]): Promise<ReadonlyMap<string, RunFate>>;
  /** True while this process writes a set of that run. */
  isWriting?(runId: string): boolean;
  readonly signal: AbortSignal;
}

export interface SweptFolder {
  readonly path: string;
  readonly files: number;
  readonly bytes: number;
}

/** What was looked at and not removed. */
export interface LeftFolder extends Reprieve {
  readonly path: string;
}

/** What a sweep removed, or would remove. */
export interface SweepReport {
  readonly storage: string;
  /** Temporary files and open uploads. Undefined when nothing is removed, and the storage cannot tell of them. */
  readonly unfinished: readonly string[] | undefined;
  /** Folders of runs that never came to a manifest. */
  readonly folders: readonly SweptFolder[];
  readonly left: readonly LeftFolder[];
  /** When the first of what is too young now may be removed. */
  readonly again?: Date;
  /** Why it ended early. What could not be listed completely was not touched. */
  readonly error?: BackupError;
}

/**
 * Removes what killed runs have left in a storage: the driver's temporary files and uploads, and set folders that
 * never came to a manifest. Sets, and whatever is not certainly ours and dead, are not touched; nor is anything
 * when a listing fails.
 * @throws BackupError only when aborted
 */
export async function sweepStorage(request: SweepRequest): Promise<SweepReport> {
  const sweep = new StorageSweep(request);
  try {
    await sweep.run();
    return sweep.report();
  } catch (thrown) {
    throwIfAborted(request.signal);
    return sweep.report(toBackupError(thrown));
  }
}

class StorageSweep {
  readonly #request: SweepRequest;
  readonly #folders: SweptFolder[] = [];
  readonly #left: LeftFolder[] = [];
  #unfinished: readonly string[] | undefined;
  #again: Date | undefined;

  constructor(request: SweepRequest) {
    this.#request = request;
  }

  report(error?: BackupError): SweepReport {
    const again = this.#again;
    return {
      storage: this.#request.driver.describe(),
      unfinished: this.#unfinished,
      folders: this.#folders,
      left: this.#left,
      ...(again === undefined ? {} : { again }),
      ...(error === undefined ? {} : { error }),
    };
  }

  async run(): Promise<void> {
    const { prefixes } = this.#request;
    const found: { prefix: string; folder: SetFolderFound }[] = [];
    for (const prefix of new Set(prefixes)) {
      for (const folder of await this.#setFolders(prefix, prefix)) found.push({ prefix, folder });
    }
    const isBehind = isClockBehind(found.map(({ folder }) => folder));
    const open = found.filter(({ folder }) => !folder.hasManifest);
    if (open.length > 0) {
      const fates = await this.#request.fates(open.map(({ folder }) => folder.runId));
      for (const { prefix, folder } of open) await this.#sweepFolder(prefix, folder, fates);
    }
    if (isBehind) this.#distrustTimes();
    else await this.#sweepUnfinished();
  }

  /** Looks twice: what was listed among many may be minutes old. */
  async #sweepFolder(
    prefix: string,
    listed: SetFolderFound,
    fates: ReadonlyMap<string, RunFate>,
  ): Promise<void> {
    const first = this.#judge(listed, fates.get(listed.runId), undefined);
    if (!first.isOrphan) return this.#leave(listed.path, first);
    const unfinished = await this.#latestUnfinished(listed.path);
    const [folder] = await this.#setFolders(prefix, listed.path);
    // Gone, or a set by now.
    if (folder === undefined || folder.hasManifest) return;
    const verdict = this.#judge(folder, fates.get(folder.runId), unfinished);
    if (!verdict.isOrphan) return this.#leave(folder.path, verdict);
    const change = this.#request.remove ? await this.#remove(folder) : undefined;
    if (change !== undefined) return this.#leave(folder.path, change);
    const bytes = folder.files.reduce((sum, file) => sum + file.bytes, 0);
    this.#folders.push({ path: folder.path, files: folder.files.length, bytes });
  }

  #judge(folder: SetFolderFound, known: RunFate | undefined, unfinished: Date | undefined): Verdict {
    const { graceMs } = this.#request;
    const fate = this.#isWriting(folder) ? 'active' : known;
    return judgeOrphan(folder, { now: new Date(), graceMs, fate, unfinished });
  }

  #leave(path: string, { why, reason, until }: Reprieve): void {
    this.#left.push({ path, why, reason, ...(until === undefined ? {} : { until }) });
    if (until !== undefined) this.#postpone(until);
  }

  #postpone(until: Date): void {
    if (this.#again === undefined || until < this.#again) this.#again = until;
  }

  #remove(folder: SetFolderFound): Promise<Reprieve | undefined> {
    const { driver, signal } = this.#request;
    return removeFiles(driver, folder, { isWriting: () => this.#isWriting(folder), signal });
  }

  async #sweepUnfinished(): Promise<void> {
    const { driver, graceMs, remove, signal } = this.#request;
    const olderThan = new Date(Date.now() - graceMs);
    const old = driver.unfinished === undefined ? undefined : await this.#unfinishedBefore(olderThan);
    const isNeeded = remove && old?.length !== 0;
    this.#unfinished = isNeeded
      ? await orAbort(driver.sweep(olderThan, signal, isPathOfSetFile), signal)
      : old;
  }

  async #unfinishedBefore(olderThan: Date): Promise<string[]> {
    const old: string[] = [];
    for await (const { path, modified } of this.#listUnfinished('')) {
      if (!isTemporaryName(lastOf(path)) && !isPathOfSetFile(path)) continue;
      if (modified < olderThan) old.push(path);
      else this.#postpone(new Date(modified.getTime() + this.#request.graceMs));
    }
    return old.sort();
  }

  async #latestUnfinished(folder: string): Promise<Date | undefined> {
    let latest: Date | undefined;
    for await (const { modified } of this.#listUnfinished(folder)) {
      if (latest === undefined || modified > latest) latest = modified;
    }
    return latest;
  }

  #distrustTimes(): void {
    const reason =
      'its clock is behind: the files of the latest run are dated before that run. No temporary file was removed';
    this.#leave(this.#request.driver.describe(), { why: 'doubtful', reason });
    this.#unfinished = [];
  }

  #isWriting({ runId }: SetFolderFound): boolean {
    return this.#request.isWriting?.(runId) ?? false;
  }

  async #setFolders(prefix: string, below: string): Promise<SetFolderFound[]> {
    const { driver, signal } = this.#request;
    return await findSetFolders(prefix, untilAborted(driver.list(below, signal), signal));
  }

  #listUnfinished(folder: string): AsyncIterable<ObjectInfo> {
    const { driver, signal } = this.#request;
    return untilAborted(driver.unfinished?.(folder, signal) ?? nothing(), signal);
  }
}

function lastOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}

async function* nothing(): AsyncGenerator<ObjectInfo, void> {}

/** The same items; an abort does not wait for a storage that hangs. */
async function* untilAborted<T>(items: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T, void> {
  throwIfAborted(signal);
  const iterator = items[Symbol.asyncIterator]();
  try {
    for (;;) {
      const next = await orAbort(iterator.next(), signal);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    // Not awaited: a listing that hangs must not keep the abort back.
    iterator.return?.().then(undefined, () => undefined);
  }
}
