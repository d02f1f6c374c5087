import { orAbort, orTimeout, settled } from '../abort.ts';
import { joinPath, MANIFEST_FILE } from '../backupset/names.ts';
import type { SetFiles } from '../backupset/writer.ts';
import type { ByteStream } from '../bytes/stream.ts';
import { RateLimit } from '../bytes/throttle.ts';
import type { ObjectInfo, PendingObject } from '../destinations/driver.ts';
import { StorageTurn } from '../destinations/storage-turn.ts';
import { abortError, BackupError, throwIfAborted } from '../errors.ts';
import type { DestinationBinding } from '../plan/bindings.ts';
import { transfer } from './transfer.ts';

/** How long a commit under way may still take when the run is cancelled, in ms: nearly all need much less. */
const COMMIT_GRACE_MS = 3_000;
/** How long the removal of one file, or a look at one, may take during clean-up, in ms. */
const CLEAN_UP_MS = 5_000;

export interface SetFolderContext {
  readonly signal: AbortSignal;
  /** A storage that keeps us waiting for so long has failed, in ms. */
  readonly stallMs: number;
}

export interface StageOptions {
  readonly expectedBytes?: number | undefined;
  onBytes?(total: number): void;
  onLost?(): void;
}

/** A file that a storage holds, not visible yet. Exactly one of the two is called, once. */
export interface StagedFile {
  /** Bytes that the storage holds. */
  readonly bytes: number;
  /** @throws BackupError when the storage refused or did not acknowledge it; it is cleaned up then */
  commit(): Promise<void>;
  /** Best effort: never throws, never takes long. */
  abort(): Promise<void>;
}

/**
 * The folder of one set at one destination while it is written. Knows what it has made visible there, so
 * that exactly that is removed when the set does not come about.
 */
export class SetFolder implements SetFiles {
  readonly binding: DestinationBinding;
  /** Folder of the set below the storage's root. */
  readonly path: string;
  readonly signal: AbortSignal;
  readonly stallMs: number;
  readonly #rate: RateLimit | undefined;
  /** Files that are visible through us, or may be, in the order of their commits, with the latest attempt. */
  readonly #ours = new Map<string, PendingObject>();
  /** Commits that were neither acknowledged nor refused: what they do later is not known. */
  readonly #unsettled = new Map<PendingObject, UnsettledCommit>();
  #replacesOrphans = false;

  constructor(binding: DestinationBinding, path: string, { signal, stallMs }: SetFolderContext) {
    this.binding = binding;
    this.path = path;
    this.signal = signal;
    this.stallMs = stallMs;
    const { bytesPerSecond } = binding;
    this.#rate = bytesPerSecond === undefined ? undefined : new RateLimit(bytesPerSecond);
  }

  /** True while the storage may still make the set visible, or has done so without telling. */
  get mayHaveManifest(): boolean {
    return [...this.#unsettled.values()].some(({ file }) => file === MANIFEST_FILE);
  }

  /** False while the storage may still do something that would hurt what another attempt writes. */
  get isSettled(): boolean {
    return [...this.#unsettled.values()].every(({ file, replaces }) => file !== MANIFEST_FILE && !replaces);
  }

  /**
   * Takes the folder over from an earlier attempt that was interrupted: files in a folder without a
   * manifest are orphans, and may be replaced from now on.
   * @throws BackupError `already-exists` when there is a manifest: then it is a set
   */
  async takeOver(): Promise<void> {
    if ((await this.#look(MANIFEST_FILE)) !== undefined) {
      throw new BackupError(
        'already-exists',
        `${this.binding.label} holds the set ${this.path} already: it is not overwritten`,
      );
    }
    this.#replacesOrphans = true;
  }

  /**
   * Removes what earlier attempts have made visible, the manifest first, all but these files. What the storage
   * refuses to remove can be replaced, but not a manifest.
   * @throws BackupError when a removal does not end, or the manifest stays
   */
  async keepOnly(files: ReadonlySet<string>): Promise<void> {
    for (const file of [...this.#ours.keys()].reverse()) {
      if (files.has(file)) continue;
      throwIfAborted(this.signal);
      const removal = await this.#remove(file);
      if (removal === 'unknown' || (removal === 'refused' && file === MANIFEST_FILE)) {
        throw new BackupError(
          'unavailable',
          `${this.binding.label} did not remove ${joinPath(this.path, file)} of an attempt before`,
          { transient: true },
        );
      }
      if (removal === 'done') this.#ours.delete(file);
    }
  }

  /** Transfers a file to where it is not visible yet; several at a time, with different names. */
  async stage(file: string, input: ByteStream, options: StageOptions = {}): Promise<StagedFile> {
    const { binding, signal, stallMs } = this;
    const path = joinPath(this.path, file);
    const replace = this.#replacesOrphans && file !== MANIFEST_FILE;
    const rate = this.#rate;
    const pending = await transfer({ binding, path, input, rate, replace, signal, stallMs, ...options });
    return {
      bytes: pending.bytes,
      commit: () => this.#commit(file, pending, replace),
      abort: () => settled(pending.abort(), CLEAN_UP_MS),
    };
  }

  async store(file: string, input: ByteStream, options: StageOptions = {}): Promise<void> {
    const staged = await this.stage(file, input, options);
    await staged.commit();
  }

  async holds(file: string, bytes: number): Promise<boolean> {
    return (await this.#look(file))?.bytes === bytes;
  }

  /**
   * Removes what was made visible of a set that did not come about, the manifest first. Best effort: what
   * stays is invisible without a manifest. Nothing is removed that a manifest names, or may name.
   */
  async discard(): Promise<void> {
    if (this.#ours.size === 0 || this.mayHaveManifest) return;
    if (!this.#ours.has(MANIFEST_FILE) && (await this.#mayBeASet())) return;
    const files = [...this.#ours.keys()].reverse();
    this.#ours.clear();
    for (const file of files) {
      const removal = await this.#remove(file);
      if (removal !== 'done' && file === MANIFEST_FILE) return;
    }
  }

  async #commit(file: string, pending: PendingObject, replaces: boolean): Promise<void> {
    const { binding, signal, stallMs } = this;
    if (signal.aborted) {
      await settled(pending.abort(), CLEAN_UP_MS);
      throw abortError(signal);
    }
    const complaint = `${binding.label} did not acknowledge ${joinPath(this.path, file)}`;
    const turn = new StorageTurn({ complaint, stallMs, signal, graceMs: COMMIT_GRACE_MS });
    turn.begin();
    this.#ours.delete(file);
    this.#ours.set(file, pending);
    this.#unsettled.set(pending, { file, replaces });
    const committing = this.#settle(file, pending);
    try {
      await orAbort(committing, turn.signal);
    } catch (error) {
      if (this.#unsettled.has(pending)) this.#followLate(file, committing);
      throw error;
    } finally {
      turn.close();
    }
  }

  /** Commits, and cleans up after a refusal. */
  async #settle(file: string, pending: PendingObject): Promise<void> {
    try {
      await pending.commit();
    } catch (error) {
      await settled(pending.abort(), CLEAN_UP_MS);
      // What was there before us is not ours to remove.
      const others = error instanceof BackupError && error.code === 'already-exists';
      if (others && this.#ours.get(file) === pending) this.#ours.delete(file);
      throw error;
    } finally {
      this.#unsettled.delete(pending);
    }
  }

  /**
   * A commit that succeeds after it was given up leaves a file that nobody counts on: it goes. A manifest
   * stays, since all that it names is there: see `discard`.
   */
  #followLate(file: string, committing: Promise<void>): void {
    if (file === MANIFEST_FILE) return;
    committing
      .then(async () => {
        if (!this.#ours.has(file)) await this.#remove(file);
      })
      .catch(() => undefined);
  }

  async #mayBeASet(): Promise<boolean> {
    // Also asked after a cancellation, so that the run's own signal does not count.
    const looking = this.#look(MANIFEST_FILE, { stallMs: CLEAN_UP_MS, signal: NEVER });
    return looking.then(
      (found) => found !== undefined,
      () => true,
    );
  }

  async #look(file: string, limits: SetFolderContext = this): Promise<ObjectInfo | undefined> {
    const { driver, label } = this.binding;
    const path = joinPath(this.path, file);
    const complaint = `${label} did not answer whether there is ${path}`;
    throwIfAborted(limits.signal);
    const turn = new StorageTurn({ complaint, stallMs: limits.stallMs, signal: limits.signal });
    turn.begin();
    try {
      return await orAbort(driver.stat(path, turn.signal), turn.signal);
    } finally {
      turn.close();
    }
  }

  async #remove(file: string): Promise<Removal> {
    const path = joinPath(this.path, file);
    const limit = new AbortController();
    const late = new BackupError('stalled', `${path} was not removed`);
    try {
      await orTimeout(this.binding.driver.remove(path, limit.signal), CLEAN_UP_MS, () => late);
      return 'done';
    } catch (error) {
      limit.abort(error);
      return error === late ? 'unknown' : 'refused';
    }
  }
}

interface UnsettledCommit {
  readonly file: string;
  /** It takes the place of a file that is there. */
  readonly replaces: boolean;
}

/** `unknown`: it may yet take place. */
type Removal = 'done' | 'refused' | 'unknown';

const NEVER = new AbortController().signal;
