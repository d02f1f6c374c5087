import { BackupError, toBackupError } from '../../errors.ts';
import { commitFolder } from '../commit-folder.ts';
import type { PendingObject } from '../driver.ts';
import { markDone } from '../temporary-names.ts';
import { StatusError, statusOf } from './failures.ts';
import { removeTraces, type WebdavPlace } from './place.ts';
import { look, move, removeTree } from './resources.ts';

/** How long a commit may take in all, in ms: the engine gives up earlier. */
const COMMIT_MS = 30 * 60_000;
/** How often a lock that was held a moment ago is tried again. */
const ATTEMPTS = 3;

/** A transferred file that waits for its name. */
export class PendingWebdavObject implements PendingObject {
  readonly bytes: number;
  readonly #place: WebdavPlace;
  readonly #replace: boolean;
  #state: 'pending' | 'committing' | 'committed' | 'aborted' = 'pending';
  /** The lock may be ours, and be left there. */
  #locked = false;

  constructor(place: WebdavPlace, bytes: number, replace: boolean) {
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
      await storage.try(`commit ${path}`, signal, async () => await this.#publish(signal));
    } catch (error) {
      if (!(await this.#wasPublished(error, signal))) throw error;
    }
    this.#state = 'committed';
    this.#place.leave();
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

  /** Servers look and rename in two steps even where they refuse to overwrite: hence the lock. */
  async #publish(signal: AbortSignal): Promise<void> {
    const { storage, path, names, temporary } = this.#place;
    await this.#lock(signal);
    try {
      if (!this.#replace && (await look(storage.client, names, signal)) !== undefined)
        throw alreadyExists(path);
      await move(storage.client, temporary, names, { overwrite: this.#replace, signal });
    } catch (error) {
      throw statusOf(error) === 412 ? alreadyExists(path) : error;
    } finally {
      await this.#unlock(signal);
    }
  }

  async #lock(signal: AbortSignal): Promise<void> {
    const { client } = this.#place.storage;
    const lock = commitFolder(this.#place.names);
    const url = client.url(lock, { folder: true });
    for (let attempt = 1; ; attempt += 1) {
      this.#locked = true;
      const request = { method: 'MKCOL', url, signal };
      const status = await client.status(request, 201, 405, 403).catch((error: unknown) => {
        if (statusOf(error) !== undefined) this.#locked = false;
        throw error;
      });
      if (status === 201) return;
      this.#locked = false;
      if ((await look(client, lock, signal)) !== undefined) throw lockHeld(this.#place.path, lock);
      // It was held, and is not any more: or it cannot be made at all.
      if (attempt === ATTEMPTS)
        throw new StatusError(status, status === 403 ? 'Forbidden' : 'Method Not Allowed');
    }
  }

  /** A lock that stays for a broken connection is removed by `abort`, else by a sweep. */
  async #unlock(signal: AbortSignal): Promise<void> {
    try {
      await removeTree(this.#place.storage.client, commitFolder(this.#place.names), signal);
      this.#locked = false;
    } catch {
      // Still marked as ours.
    }
  }

  /** The answer to a rename can get lost with its connection: then the server is asked what it did. */
  async #wasPublished(error: unknown, signal: AbortSignal): Promise<boolean> {
    const { storage, names, temporary } = this.#place;
    const { code, transient } = toBackupError(error);
    // A MOVE that was repeated by a proxy finds nothing to move.
    if (code === 'already-exists' || !(transient || code === 'not-found')) return false;
    try {
      if ((await look(storage.client, temporary, signal)) !== undefined) return false;
      if ((await look(storage.client, names, signal))?.bytes !== this.bytes) return false;
      if (this.#locked) await this.#unlock(signal);
      return true;
    } catch {
      return false;
    }
  }
}

export function alreadyExists(path: string): BackupError {
  return new BackupError(
    'already-exists',
    `${path} exists already and is not overwritten: remove it first, or store under another name`,
  );
}

function lockHeld(path: string, lock: readonly string[]): BackupError {
  return new BackupError(
    'already-exists',
    `Another process is writing ${path} at this moment; if none runs, remove ${lock.at(-1)} beside it`,
    { transient: true },
  );
}
