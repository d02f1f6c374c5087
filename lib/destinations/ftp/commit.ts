import { BackupError, toBackupError } from '../../errors.ts';
import { commitFolder } from '../commit-folder.ts';
import type { PendingObject } from '../driver.ts';
import { markDone, temporaryName } from '../temporary-names.ts';
import type { FtpConnection } from './connection.ts';
import { replyCode } from './failures.ts';
import { look, pathOf } from './folders.ts';
import { type FtpPlace, removeTraces } from './place.ts';

/** How long a commit may take in all, in ms: the engine gives up earlier. */
const COMMIT_MS = 30 * 60_000;

/** How often a lock that was held a moment ago is tried again. */
const ATTEMPTS = 3;

/** A transferred file that waits for its name. */
export class PendingFtpObject implements PendingObject {
  readonly bytes: number;
  readonly #place: FtpPlace;
  readonly #replace: boolean;
  #state: 'pending' | 'committing' | 'committed' | 'aborted' = 'pending';
  /** The lock may be ours, and be left there. */
  #locked = false;

  constructor(place: FtpPlace, bytes: number, replace: boolean) {
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
      await storage.use(`commit ${path}`, signal, (connection) => this.#publish(connection, signal));
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

  /** RNTO overwrites on most servers, so that a look comes before it, under a lock. */
  async #publish(connection: FtpConnection, signal: AbortSignal): Promise<void> {
    const { path, names } = this.#place;
    await this.#lock(connection, signal);
    try {
      const there = await look(connection, names, signal);
      if (there !== undefined && !this.#replace) throw alreadyExists(path);
      await this.#rename(connection, there !== undefined, signal);
    } finally {
      await this.#unlock(connection, signal);
    }
  }

  async #lock(connection: FtpConnection, signal: AbortSignal): Promise<void> {
    const lock = commitFolder(this.#place.names);
    for (let attempt = 1; ; attempt += 1) {
      this.#locked = true;
      try {
        await connection.command(`MKD ${pathOf(connection, lock)}`, signal);
        return;
      } catch (error) {
        if (replyCode(error) === undefined) throw error;
        this.#locked = false;
        if ((await look(connection, lock, signal)) !== undefined) throw lockHeld(this.#place.path, lock);
        // It was held, and is not any more: or it cannot be made at all.
        if (attempt === ATTEMPTS) throw error;
      }
    }
  }

  /** A lock that stays for a broken connection is removed by `abort`, else by a sweep. */
  async #unlock(connection: FtpConnection, signal: AbortSignal): Promise<void> {
    if (!connection.usable) return;
    try {
      await connection.command(`RMD ${pathOf(connection, commitFolder(this.#place.names))}`, signal);
      this.#locked = false;
    } catch (error) {
      if (replyCode(error) === undefined) return;
      this.#locked = (await look(connection, commitFolder(this.#place.names), signal)) !== undefined;
    }
  }

  async #rename(connection: FtpConnection, overSomething: boolean, signal: AbortSignal): Promise<void> {
    const { names, temporary } = this.#place;
    const [from, to] = [pathOf(connection, temporary), pathOf(connection, names)];
    try {
      await rename(connection, from, to, signal);
    } catch (error) {
      if (!overSomething || replyCode(error) === undefined) throw error;
      await renameAside(connection, from, to, pathOf(connection, aside(names)), signal);
    }
  }

  /** The answer to a rename can get lost with its connection: then the server is asked what it did. */
  async #wasPublished(error: unknown, signal: AbortSignal): Promise<boolean> {
    const { storage, path, names, temporary } = this.#place;
    if (!toBackupError(error).transient || (error as BackupError).code === 'already-exists') return false;
    try {
      return await storage.use(`commit ${path}`, signal, async (connection) => {
        if ((await look(connection, temporary, signal)) !== undefined) return false;
        if ((await look(connection, names, signal))?.bytes !== this.bytes) return false;
        if (this.#locked) await this.#unlock(connection, signal);
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

async function rename(
  connection: FtpConnection,
  from: string,
  to: string,
  signal: AbortSignal,
): Promise<void> {
  await connection.command(`RNFR ${from}`, signal);
  await connection.command(`RNTO ${to}`, signal);
}

/** For servers whose RNTO does not overwrite: the old content is kept until the new one has its name. */
async function renameAside(
  connection: FtpConnection,
  from: string,
  to: string,
  old: string,
  signal: AbortSignal,
): Promise<void> {
  await rename(connection, to, old, signal);
  try {
    await rename(connection, from, to, signal);
  } catch (error) {
    if (connection.usable) await rename(connection, old, to, signal);
    throw error;
  }
  await connection.tryCommand(`DELE ${old}`, signal);
}

function aside(names: readonly string[]): string[] {
  return [...names.slice(0, -1), temporaryName(names.at(-1) as string)];
}
