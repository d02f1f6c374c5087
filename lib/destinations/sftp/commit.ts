import { setTimeout as wait } from 'node:timers/promises';
import { BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import type { PendingObject } from '../driver.ts';
import { markDone } from '../temporary-names.ts';
import type { SftpChannel } from './channel.ts';
import { pathOf, syncFolder, undefinedIfMissing, whyNotWritten } from './folders.ts';
import { removeTraces, type SftpPlace } from './place.ts';
import { type CommitState, isPublished, publishNew, publishReplacing, unlock } from './publish.ts';

/** How long a commit may take in all, in ms: the engine gives up earlier. */
const COMMIT_MS = 30 * 60_000;
/** How often a commit is tried whose connection breaks. */
const TRIES = 3;
const BETWEEN_TRIES_MS = 200;
/** How long a committed object waits for its second name to be removed, in ms. */
const TIDY_MS = 5000;

/** A transferred file that waits for its name. */
export class PendingSftpObject implements PendingObject {
  readonly bytes: number;
  readonly #place: SftpPlace;
  readonly #replace: boolean;
  readonly #state: CommitState = { begun: false, locked: false };
  #tidied = false;
  #stage: 'pending' | 'committing' | 'committed' | 'aborted' = 'pending';

  constructor(place: SftpPlace, bytes: number, replace: boolean) {
    this.#place = place;
    this.bytes = bytes;
    this.#replace = replace;
  }

  async commit(): Promise<void> {
    const { storage, path, temporary } = this.#place;
    if (this.#stage !== 'pending') throw new BackupError('internal', `${path} was ${this.#stage} already`);
    this.#stage = 'committing';
    const signal = AbortSignal.timeout(COMMIT_MS);
    for (let tries = 1; ; tries += 1) {
      try {
        await storage.use(`commit ${path}`, signal, (channel) => this.#publish(channel));
        break;
      } catch (error) {
        throwIfAborted(signal);
        if (tries === TRIES || !this.#mayTryAgain(error)) throw error;
        await wait(BETWEEN_TRIES_MS);
      }
    }
    this.#stage = 'committed';
    await this.#tidy();
    markDone(temporary.at(-1) as string);
  }

  async abort(): Promise<void> {
    if (this.#stage === 'committed' || this.#stage === 'aborted') return;
    this.#stage = 'aborted';
    try {
      await removeTraces(this.#place, {
        lock: this.#state.locked,
        before: (channel) => this.#takeBack(channel),
      });
    } finally {
      markDone(this.#place.temporary.at(-1) as string);
    }
  }

  /** After a break everything is asked anew, but a lock that may be left there would be in our way. */
  #mayTryAgain(error: unknown): boolean {
    const { code, transient } = toBackupError(error);
    return transient && code !== 'already-exists' && (this.#state.begun || !this.#state.locked);
  }

  /** The answer to what gives the name can get lost: then this is called again, and asks what the server did. */
  async #publish(channel: SftpChannel): Promise<void> {
    const { storage, path, names } = this.#place;
    const state = this.#state;
    try {
      if (!(await this.#wasPublished(channel))) {
        if (this.#replace) await publishReplacing(channel, this.#place, state);
        else await publishNew(channel, this.#place, state);
      }
      if (state.locked) await unlock(channel, this.#place, state);
      await syncFolder(channel, names.slice(0, -1));
    } catch (error) {
      throw await whyNotWritten(channel, error, `commit ${path} on ${storage.location}`);
    }
    await this.#removeTemporary(channel).catch(() => undefined);
  }

  async #removeTemporary(channel: SftpChannel): Promise<void> {
    await undefinedIfMissing(channel.unlink(pathOf(channel, this.#place.temporary)));
    this.#tidied = true;
  }

  /** A hard link leaves the hidden name beside the new one. What stays of it is removed by the next sweep. */
  async #tidy(): Promise<void> {
    if (this.#tidied) return;
    const { storage, path } = this.#place;
    const signal = AbortSignal.timeout(TIDY_MS);
    await storage
      .use(`tidy up after ${path}`, signal, (channel) => this.#removeTemporary(channel))
      .catch(() => undefined);
  }

  async #wasPublished(channel: SftpChannel): Promise<boolean> {
    const { begun, locked } = this.#state;
    if (!begun) return false;
    if (await isPublished(channel, this.#place, this.bytes)) return true;
    if (!locked) return false;
    // Our own lock would be in the way.
    const text = `The connection broke while ${this.#place.path} was committed: it must be sent anew`;
    throw new BackupError('unavailable', text, { transient: true });
  }

  /** A commit that failed, but may have happened all the same. */
  async #takeBack(channel: SftpChannel): Promise<void> {
    if (!this.#state.begun || this.#replace) return;
    if (!(await isPublished(channel, this.#place, this.bytes))) return;
    await undefinedIfMissing(channel.unlink(pathOf(channel, this.#place.names)));
  }
}
