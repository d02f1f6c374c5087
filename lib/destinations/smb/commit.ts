import { BackupError, toBackupError } from '../../errors.ts';
import { commitFolder } from '../commit-folder.ts';
import type { PendingObject } from '../driver.ts';
import { markDone } from '../temporary-names.ts';
import { isRefusal } from './failures.ts';
import { look, quoted } from './folders.ts';
import { removeTraces, type SmbPlace } from './place.ts';
import type { SmbSession } from './session.ts';

/** How long a commit may take in all, in ms: the engine gives up earlier. */
const COMMIT_MS = 30 * 60_000;
/** A transferred file that waits for its name. */
export class PendingSmbObject implements PendingObject {
  readonly bytes: number;
  readonly #place: SmbPlace;
  readonly #replace: boolean;
  #state: 'pending' | 'committing' | 'committed' | 'aborted' = 'pending';
  /** The lock may be ours, and be left there. */
  #locked = false;

  constructor(place: SmbPlace, bytes: number, replace: boolean) {
    this.#place = place;
    this.bytes = bytes;
    this.#replace = replace;
  }

  async commit(): Promise<void> {
    const { storage, path, temporary } = this.#place;
    if (this.#state !== 'pending') throw new BackupError('internal', `${path} was ${this.#state} already`);
    this.#state = 'committing';
    const signal = AbortSignal.timeout(COMMIT_MS);
    try {
      await storage.use(`commit ${path}`, signal, (session) => this.#publish(session, signal));
    } catch (error) {
      if (!(await this.#wasPublished(error, signal))) throw error;
    }
    this.#state = 'committed';
    markDone(temporary.at(-1) as string);
  }

  async abort(): Promise<void> {
    if (this.#state === 'committed' || this.#state === 'aborted') return;
    this.#state = 'aborted';
    try {
      await removeTraces(this.#place, { lock: this.#locked });
    } finally {
      markDone(this.#place.temporary.at(-1) as string);
    }
  }

  /**
   * A rename of SMB refuses a name that is taken, but Samba looks first and renames then: two of its processes can
   * both find it free. The lock keeps ours apart.
   */
  async #publish(session: SmbSession, signal: AbortSignal): Promise<void> {
    await this.#lock(session, signal);
    try {
      await this.#rename(session, signal);
    } finally {
      await this.#unlock(session, signal);
    }
  }

  async #lock(session: SmbSession, signal: AbortSignal): Promise<void> {
    const { path, names } = this.#place;
    const lock = commitFolder(names);
    this.#locked = true;
    try {
      // The one before us may be just removing it.
      await session.order(`mkdir ${quoted(session, lock)}`, signal);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#locked = false;
      throw isRefusal(error, 'OBJECT_NAME_COLLISION') ? lockHeld(path, lock) : error;
    }
  }

  /** A lock that stays for a broken connection is removed by `abort`, else by a sweep. */
  async #unlock(session: SmbSession, signal: AbortSignal): Promise<void> {
    if (!session.usable) return;
    try {
      const lock = quoted(session, commitFolder(this.#place.names));
      await session.order(`rmdir ${lock}`, signal);
      this.#locked = false;
    } catch {
      this.#locked = true;
    }
  }

  async #rename(session: SmbSession, signal: AbortSignal): Promise<void> {
    const { path, names, temporary } = this.#place;
    const words = `${quoted(session, temporary)} ${quoted(session, names)}`;
    try {
      await session.order(`rename ${words}${this.#replace ? ' -f' : ''}`, signal);
    } catch (error) {
      throw isRefusal(error, 'OBJECT_NAME_COLLISION') ? alreadyExists(path) : error;
    }
  }

  /** The answer to a rename can get lost with its connection: then the server is asked what it did. */
  async #wasPublished(error: unknown, signal: AbortSignal): Promise<boolean> {
    const { storage, path, names, temporary } = this.#place;
    if (!toBackupError(error).transient || (error as BackupError).code === 'already-exists') return false;
    try {
      return await storage.use(`commit ${path}`, signal, async (session) => {
        if ((await look(session, temporary, signal)) !== undefined) return false;
        if ((await look(session, names, signal))?.bytes !== this.bytes) return false;
        if (this.#locked) await this.#unlock(session, signal);
        return true;
      });
    } catch {
      return false;
    }
  }
}

function lockHeld(path: string, lock: readonly string[]): BackupError {
  return new BackupError(
    'already-exists',
    `Another process is writing ${path} at this moment; if none runs, remove ${lock.at(-1)} beside it`,
    { transient: true },
  );
}

export function alreadyExists(path: string): BackupError {
  return new BackupError(
    'already-exists',
    `${path} exists already and is not overwritten: remove it first, or store under another name`,
  );
}
