import { BackupError, toBackupError } from '../errors.ts';
import { commitFolder } from './commit-folder.ts';
import { type LockRefusal, type LockState, takeLock } from './commit-lock.ts';
import type { PendingObject } from './driver.ts';
import { markDone } from './temporary-names.ts';
import type { WritePlace } from './write-place.ts';

/** How long a commit may take in all, in ms: the engine gives up earlier. */
const COMMIT_MS = 30 * 60_000;

/** What a protocol does for a commit under a lock; `Session` is what its requests go through. */
export interface CommitSteps<Session> {
  use<T>(doing: string, signal: AbortSignal, work: (session: Session) => Promise<T>): Promise<T>;
  /** @returns the server's refusal @throws when it is not known what the server did */
  makeLock(session: Session, lock: readonly string[], signal: AbortSignal): Promise<LockRefusal | undefined>;
  /** @returns whether it is gone; one that stays is removed by `abort`, else by a sweep */
  removeLock(session: Session, lock: readonly string[], signal: AbortSignal): Promise<boolean>;
  /** @returns undefined when nothing is there */
  look(
    session: Session,
    names: readonly string[],
    signal: AbortSignal,
  ): Promise<{ readonly bytes: number } | undefined>;
  /** Gives the temporary file its name, under the lock. @throws BackupError `already-exists`, or what it met */
  rename(session: Session, signal: AbortSignal): Promise<void>;
  /** Whether the file may have its name although `rename` failed so. */
  mayBeRenamed(error: BackupError): boolean;
  /** Removes everything that is not committed. */
  removeTraces(lock: boolean): Promise<void>;
  /** The object has its name. */
  committed?(): void;
}

/** A transferred file that waits for its name: where a rename may overwrite, a lock keeps other commits out. */
export class LockedCommit<Session> implements PendingObject {
  readonly bytes: number;
  readonly #place: WritePlace<unknown>;
  readonly #steps: CommitSteps<Session>;
  readonly #lock: LockState = { locked: false };
  #stage: 'pending' | 'committing' | 'committed' | 'aborted' = 'pending';

  constructor(place: WritePlace<unknown>, bytes: number, steps: CommitSteps<Session>) {
    this.#place = place;
    this.bytes = bytes;
    this.#steps = steps;
  }

  async commit(): Promise<void> {
    const { path, temporary } = this.#place;
    if (this.#stage !== 'pending') throw new BackupError('internal', `${path} was ${this.#stage} already`);
    this.#stage = 'committing';
    const signal = AbortSignal.timeout(COMMIT_MS);
    try {
      await this.#steps.use(`commit ${path}`, signal, (session) => this.#publish(session, signal));
    } catch (error) {
      if (!(await this.#wasPublished(error, signal))) throw error;
    }
    this.#stage = 'committed';
    this.#steps.committed?.();
    markDone(temporary.at(-1) as string);
  }

  async abort(): Promise<void> {
    if (this.#stage === 'committed' || this.#stage === 'aborted') return;
    this.#stage = 'aborted';
    try {
      await this.#steps.removeTraces(this.#lock.locked);
    } finally {
      markDone(this.#place.temporary.at(-1) as string);
    }
  }

  async #publish(session: Session, signal: AbortSignal): Promise<void> {
    await takeLock(this.#place, this.#lock, {
      make: (lock) => this.#steps.makeLock(session, lock, signal),
      look: (lock) => this.#steps.look(session, lock, signal),
    });
    try {
      await this.#steps.rename(session, signal);
    } finally {
      await this.#unlock(session, signal);
    }
  }

  async #unlock(session: Session, signal: AbortSignal): Promise<void> {
    const lock = commitFolder(this.#place.names);
    this.#lock.locked = !(await this.#steps.removeLock(session, lock, signal));
  }

  /** The answer to a rename can get lost with its connection: then the server is asked what it did. */
  async #wasPublished(thrown: unknown, signal: AbortSignal): Promise<boolean> {
    const { path, names, temporary } = this.#place;
    const error = toBackupError(thrown);
    if (error.code === 'already-exists' || !this.#steps.mayBeRenamed(error)) return false;
    try {
      return await this.#steps.use(`commit ${path}`, signal, async (session) => {
        if ((await this.#steps.look(session, temporary, signal)) !== undefined) return false;
        if ((await this.#steps.look(session, names, signal))?.bytes !== this.bytes) return false;
        if (this.#lock.locked) await this.#unlock(session, signal);
        return true;
      });
    } catch {
      return false;
    }
  }
}
