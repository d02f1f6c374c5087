import { pause, pauseBefore } from '../../backoff.ts';
import { BackupError, toBackupError } from '../../errors.ts';
import { alreadyExists, lockHeld } from '../already-exists.ts';
import type { PendingObject } from '../driver.ts';
import { lacksFolder } from './failures.ts';
import type { RsyncPlace } from './place.ts';
import { RsyncError } from './run.ts';
import type { Spool } from './spool.ts';
import { PAUSES, TREE } from './upload.ts';

/** How long a commit may take in all, in ms: the engine gives up earlier. */
const COMMIT_MS = 30 * 60_000;
/** How often a step whose connection broke is tried. */
const ATTEMPTS = 3;
/** How often a folder that another writer removed just now is made again. */
const FOLDER_ATTEMPTS = 20;
/** The far side says that what it was to make is there already. */
const EXISTS = /File exists/;
/** A line of `-ii`: something was done to a file. */
const CHANGED_FILE = /^[<>ch.]f/m;

/** A transferred file that waits for its name. */
export class PendingRsyncObject implements PendingObject {
  readonly bytes: number;
  readonly #place: RsyncPlace;
  readonly #spool: Spool;
  /** The hidden folder that holds the object. */
  readonly #staging: string;
  readonly #replace: boolean;
  #state: 'pending' | 'committing' | 'committed' | 'aborted' = 'pending';

  constructor(place: RsyncPlace, spool: Spool, staged: { staging: string; bytes: number; replace: boolean }) {
    this.#place = place;
    this.#spool = spool;
    this.#staging = staged.staging;
    this.#replace = staged.replace;
    this.bytes = staged.bytes;
  }

  async commit(): Promise<void> {
    const place = this.#place;
    if (this.#state !== 'pending') {
      throw new BackupError('internal', `${place.path} was ${this.#state} already`);
    }
    this.#state = 'committing';
    const signal = AbortSignal.timeout(COMMIT_MS);
    await this.#takeLock(signal);
    await this.#publish(signal);
    this.#state = 'committed';
    await this.#tidy();
  }

  async abort(): Promise<void> {
    if (this.#state === 'committed' || this.#state === 'aborted') return;
    this.#state = 'aborted';
    await this.#tidy();
  }

  /** What stays is swept later: an object is committed all the same. */
  async #tidy(): Promise<void> {
    try {
      await this.#place.removeTraces();
    } catch (error) {
      if (this.#state !== 'committed') throw error;
    } finally {
      this.#place.done();
      await this.#spool.remove();
    }
  }

  /**
   * rsync looks and then links or renames over: so that nobody gets in between, whoever commits an object makes a
   * symbolic link beside it first. Of several that try only one succeeds.
   */
  async #takeLock(signal: AbortSignal): Promise<void> {
    const { storage, path, lock } = this.#place;
    await this.#spool.makeLink(this.#staging, 'lock', ...lock);
    const list = await this.#spool.writeList('lock-list', [lock.join('/')]);
    const options = ['-lOR', '-ii', '--ignore-existing', '--from0', `--files-from=${list}`];
    const args = [...options, this.#spool.at('lock', '/'), storage.target()];
    for (let attempt = 1; ; attempt += 1) {
      this.#place.locked = 'unknown';
      try {
        const done = await storage.run({ doing: `commit ${path}`, args }, signal);
        if (/^cL/m.test(done)) {
          this.#place.locked = 'yes';
          return;
        }
      } catch (error) {
        const mayGo = await this.#afterFailedLock(error, attempt, signal);
        if (mayGo) return;
        continue;
      }
      // The answer to an attempt that broke can be lost.
      if (await this.#place.ownsLock(signal)) return;
      throw lockHeld(path, lock);
    }
  }

  /** @returns true to go on without a lock, false to try again @throws BackupError */
  async #afterFailedLock(error: unknown, attempt: number, signal: AbortSignal): Promise<boolean> {
    const { path, lock } = this.#place;
    const said = error instanceof RsyncError ? error.run.said : [];
    if (said.some((line) => EXISTS.test(line))) {
      if (await this.#place.ownsLock(signal)) return true;
      throw lockHeld(path, lock);
    }
    if (error instanceof RsyncError && lacksFolder(error.run) && attempt < FOLDER_ATTEMPTS) return false;
    // Some disks have no symbolic links. Those who commit the same object at the same moment are not kept apart then.
    if (
      said.some((line) =>
        /symlink .*(Operation not (permitted|supported)|Function not implemented)/.test(line),
      )
    ) {
      return true;
    }
    await this.#pauseOrThrow(error, attempt, signal);
    return false;
  }

  async #publish(signal: AbortSignal): Promise<void> {
    const { storage, path } = this.#place;
    const list = await this.#spool.writeList('object', [path]);
    const from = storage.basis([this.#staging], 0);
    // A new name is linked to the file, or a copy is renamed to it. What is replaced keeps its content until a new
    // file is renamed over it.
    const how = this.#replace
      ? ['--ignore-times', `--copy-dest=${from}`]
      : ['--ignore-existing', `--link-dest=${from}`];
    const args = ['-tOR', '-ii', ...how, '--from0', `--files-from=${list}`];
    const paths = [this.#spool.at(TREE, '/'), storage.target()];
    for (let attempt = 1; ; attempt += 1) {
      try {
        const call = { doing: `commit ${path}`, args: [...args, ...paths] };
        const done = await (this.#replace ? storage.runSynced(call, signal) : storage.run(call, signal));
        if (CHANGED_FILE.test(done)) return;
      } catch (error) {
        await this.#pauseOrThrow(error, attempt, signal);
        continue;
      }
      // It was there: from an attempt whose answer got lost, or from others.
      if (attempt > 1 && (await this.#isPublished(signal))) return;
      throw alreadyExists(path);
    }
  }

  /** Compares the content of what is there with ours. */
  async #isPublished(signal: AbortSignal): Promise<boolean> {
    const { storage, path } = this.#place;
    const list = await this.#spool.writeList('object', [path]);
    const args = ['-tOR', '-ii', '--dry-run', '--checksum', '--from0', `--files-from=${list}`];
    const paths = [this.#spool.at(TREE, '/'), storage.target()];
    const told = await storage.run({ doing: `commit ${path}`, args: [...args, ...paths] }, signal);
    return /^\.f/m.test(told);
  }

  async #pauseOrThrow(error: unknown, attempt: number, signal: AbortSignal): Promise<void> {
    if (!toBackupError(error).transient || attempt >= ATTEMPTS) throw error;
    const { clock } = this.#place.storage;
    await pause(pauseBefore(attempt, PAUSES), signal, clock);
  }
}
