import { randomBytes } from 'node:crypto';
import { orAbort, settled } from '../abort.ts';
import { pause, pauseBefore } from '../backoff.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { DestinationDriver, PendingObject } from '../destinations/driver.ts';
import { StorageTurn } from '../destinations/storage-turn.ts';
import { BackupError, errorAbout, throwIfAborted, toBackupError } from '../errors.ts';
import { firstAnnotations } from './annotation-changes.ts';
import { readAnnotationsFile, STALL_MS, statObject } from './annotation-file.ts';
import { type Annotations, annotationsText, MAX_CHANGES, NO_ANNOTATIONS } from './annotation-format.ts';
import type { Manifest } from './manifest.ts';
import { ANNOTATIONS_FILE, joinPath, MANIFEST_FILE } from './names.ts';
import { type BackupSet, openBackupSet } from './reader.ts';

/** How long a write or commit under way may still take when it was given up, and then its clean-up, in ms. */
const COMMIT_GRACE_MS = 1_500;
const CLEAN_UP_MS = 5_000;
/** How often a change is tried when others change the same file. */
const ATTEMPTS = 8;
const PAUSES = { firstMs: 100, longestMs: 2_000 };

/** What is known of a set's annotations. */
export interface StoredAnnotations {
  /** What was read; of a file that cannot be read, that the set is pinned: perhaps it says so. */
  readonly value: Annotations;
  /** Why the file could not be read. Then nothing is known of the set but that it must not be removed. */
  readonly error?: BackupError;
}

export interface AnnotationOptions {
  readonly signal: AbortSignal;
  readonly clock?: Clock;
}

export interface AnnotationUpdate extends AnnotationOptions {
  /** Begin anew where the file is damaged; a file of a newer version is never replaced. */
  readonly replaceDamaged?: boolean;
}

/**
 * Reads the annotations of the set in that folder. Never an error, unless aborted: a set whose annotations cannot
 * be read counts as pinned.
 */
export async function readAnnotations(
  driver: DestinationDriver,
  setPath: string,
  { signal }: AnnotationOptions,
): Promise<StoredAnnotations> {
  try {
    return { value: (await readAnnotationsFile(driver, setPath, signal)) ?? NO_ANNOTATIONS };
  } catch (error) {
    throwIfAborted(signal);
    return { value: { ...NO_ANNOTATIONS, pinned: true }, error: toBackupError(error) };
  }
}

/**
 * The annotations of a set. Where it has no file of them, those that its run began it with: its manifest knows them.
 * Never an error, unless aborted.
 */
export async function annotationsOf(
  { driver, path, manifest }: BackupSet,
  options: AnnotationOptions,
): Promise<StoredAnnotations> {
  const found = await readAnnotations(driver, path, options);
  return found.value === NO_ANNOTATIONS ? { value: begunWith(manifest) } : found;
}

/** Those that the run of a set was told. */
export function begunWith({ recipe, runId, finishedAt }: Manifest): Annotations {
  return firstAnnotations(recipe.annotations, { id: runId, at: finishedAt });
}

/**
 * Changes the annotations of the set in that folder: reads them, and replaces the file in one step. Two changes of
 * this process never meet. Of two processes that change the same file the later one notices, and begins again with
 * what the other has written; only when both commit at the very same moment, one may be lost.
 * @param change what becomes of the annotations; called again when others were quicker
 * @returns what is stored now
 * @throws BackupError `not-found` when there is no set, `corrupt` or `invalid-config` when what is there cannot be
 *   read, else of the storage
 */
export async function updateAnnotations(
  driver: DestinationDriver,
  setPath: string,
  change: (current: Annotations) => Annotations,
  options: AnnotationUpdate,
): Promise<Annotations> {
  const place = `${driver.describe()}\n${setPath}`;
  const before = changing.get(place) ?? Promise.resolve();
  const { promise: ended, resolve: end } = Promise.withResolvers<void>();
  const last = Promise.all([before, ended]).then(() => undefined);
  changing.set(place, last);
  try {
    await orAbort(before, options.signal);
    return await new Change(driver, setPath, change, options).run();
  } finally {
    end();
    if (changing.get(place) === last) changing.delete(place);
  }
}

/** The last change of each file by this process: the next one waits for it. */
const changing = new Map<string, Promise<void>>();

class Change {
  readonly #driver: DestinationDriver;
  readonly #setPath: string;
  readonly #change: (current: Annotations) => Annotations;
  readonly #options: AnnotationUpdate;

  constructor(
    driver: DestinationDriver,
    setPath: string,
    change: (current: Annotations) => Annotations,
    options: AnnotationUpdate,
  ) {
    this.#driver = driver;
    this.#setPath = setPath;
    this.#change = change;
    this.#options = options;
  }

  async run(): Promise<Annotations> {
    const { signal, clock = systemClock } = this.#options;
    for (let attempt = 1; ; attempt += 1) {
      const outcome = await this.#attempt().catch((error: unknown) => {
        throwIfAborted(signal);
        return toBackupError(error);
      });
      if (outcome !== undefined && !(outcome instanceof BackupError)) return outcome;
      if (attempt === ATTEMPTS || outcome?.transient === false) throw outcome ?? this.#contended();
      await pause(pauseBefore(attempt, PAUSES), signal, clock);
    }
  }

  /** @returns undefined when others were quicker */
  async #attempt(): Promise<Annotations | undefined> {
    const stored = await this.#read();
    const current = stored ?? (await this.#begunWith());
    const changed = this.#change(current);
    if (annotationsText(changed) === annotationsText(current)) return current;
    const { clock = systemClock } = this.#options;
    const updatedAt = new Date(clock.now()).toISOString();
    const id = randomBytes(8).toString('hex');
    const changes = [...current.changes, id].slice(-MAX_CHANGES);
    if (!(await this.#replace(stored, { ...changed, changes, updatedAt }))) return undefined;
    // Who committed at the same moment may have replaced ours, without having read it.
    const found = await this.#read();
    return found?.changes.includes(id) === true ? found : undefined;
  }

  /** @returns false when others have changed it since it was read, or change it now */
  async #replace(current: Annotations | undefined, next: Annotations): Promise<boolean> {
    const { signal } = this.#options;
    const path = joinPath(this.#setPath, ANNOTATIONS_FILE);
    const complaint = `${this.#driver.describe()} did not take ${path}`;
    const turn = new StorageTurn({ complaint, stallMs: STALL_MS, signal });
    turn.begin();
    try {
      const bytes = Buffer.from(annotationsText(next));
      const writing = { signal: turn.signal, expectedBytes: bytes.length, replace: true };
      const pending = await opened(this.#driver.write(path, once(bytes), writing), turn.signal);
      return await this.#commit(pending, current, turn.signal);
    } catch (error) {
      throwIfAborted(signal);
      if (toBackupError(error).code === 'already-exists') return false;
      throw errorAbout(this.#where(), error);
    } finally {
      turn.close();
    }
  }

  /** Looks last before it commits: while the bytes were on their way others may have come, or the set gone. */
  async #commit(
    pending: PendingObject,
    current: Annotations | undefined,
    turn: AbortSignal,
  ): Promise<boolean> {
    let committing: Promise<void> = Promise.resolve();
    let isOurs = false;
    try {
      await this.#requireSet();
      if (!(await this.#isUnchanged(current))) return false;
      committing = pending.commit();
      await orAbort(committing, turn);
      isOurs = true;
    } finally {
      if (!isOurs) {
        await settled(committing, COMMIT_GRACE_MS);
        await settled(pending.abort(), CLEAN_UP_MS);
      }
    }
    return true;
  }

  async #isUnchanged(current: Annotations | undefined): Promise<boolean> {
    const path = joinPath(this.#setPath, ANNOTATIONS_FILE);
    const isThere = (await statObject(this.#driver, path, this.#options.signal)) !== undefined;
    if (!isThere) return current === undefined;
    const now = await this.#read();
    if (current === undefined || now === undefined) return current === now;
    return annotationsText(now) === annotationsText(current);
  }

  async #read(): Promise<Annotations | undefined> {
    const { signal, replaceDamaged = false } = this.#options;
    try {
      return await readAnnotationsFile(this.#driver, this.#setPath, signal);
    } catch (error) {
      const problem = toBackupError(error);
      if (replaceDamaged && problem.code === 'corrupt') return undefined;
      throw problem;
    }
  }

  async #begunWith(): Promise<Annotations> {
    const { manifest } = await openBackupSet(this.#driver, this.#setPath, this.#options.signal);
    return begunWith(manifest);
  }

  async #requireSet(): Promise<void> {
    const path = joinPath(this.#setPath, MANIFEST_FILE);
    const found = await statObject(this.#driver, path, this.#options.signal);
    if (found !== undefined) return;
    throw new BackupError(
      'not-found',
      `${this.#driver.describe()}/${path} does not exist: there is no backup set in that folder`,
    );
  }

  #contended(): BackupError {
    return new BackupError(
      'unavailable',
      `${this.#where()} is changed by others again and again: try once more`,
      { transient: true },
    );
  }

  #where(): string {
    return `${this.#driver.describe()}/${joinPath(this.#setPath, ANNOTATIONS_FILE)}`;
  }
}

/** A write that comes through after it was given up is taken back, at once if its storage answers. */
async function opened(writing: Promise<PendingObject>, signal: AbortSignal): Promise<PendingObject> {
  try {
    return await orAbort(writing, signal);
  } catch (error) {
    const takenBack = writing.then((late) => late.abort());
    await settled(takenBack, COMMIT_GRACE_MS);
    throw error;
  }
}

async function* once(bytes: Buffer): AsyncGenerator<Buffer, undefined> {
  yield bytes;
}
