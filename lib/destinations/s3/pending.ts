import { pause } from '../../backoff.ts';
import { BackupError } from '../../errors.ts';
import { alreadyExists } from '../already-exists.ts';
import type { PendingObject } from '../driver.ts';
import { isS3Code, statusOf } from './failures.ts';
import { isWrittenBy } from './object-fields.ts';
import type { ObjectPlace } from './object-place.ts';
import { findObject, removeObject } from './objects.ts';
import type { S3Store } from './store.ts';
import { ensureStoredAsAsked } from './stored-as-asked.ts';

/** How long an abort goes on trying, in ms. */
const ABORT_MS = 60_000;
/** Pauses before the looks for an object that a server may still be storing when its connection is lost, in ms. */
const LOOKS_MS = [0, 500, 1500];

/** All bytes of an object, which nobody can see yet. */
export interface HeldObject {
  readonly place: ObjectPlace;
  readonly bytes: number;
  /** The id that only this writing has; it is in the metadata of its object. */
  readonly writer: string;
  /** Makes the object visible. @param onlyNew the server is to refuse when there is one already */
  publish(onlyNew: boolean, signal: AbortSignal): Promise<void>;
  /** Removes what there is of it while it is not visible. */
  discard(signal: AbortSignal): Promise<void>;
}

/** Makes a held object visible, or removes it. */
export class S3PendingObject implements PendingObject {
  readonly bytes: number;
  readonly #store: S3Store;
  readonly #held: HeldObject;
  readonly #replace: boolean;
  readonly #stop = new AbortController();
  #publishing: Promise<void> | undefined;
  /** The server may have stored the object, or do so yet: its answer was lost. */
  #uncertain = false;
  #state: 'pending' | 'committing' | 'committed' | 'aborted' = 'pending';

  constructor(store: S3Store, held: HeldObject, replace: boolean) {
    this.#store = store;
    this.#held = held;
    this.#replace = replace;
    this.bytes = held.bytes;
  }

  async commit(): Promise<void> {
    if (this.#state !== 'pending') {
      throw new BackupError('internal', `${this.#held.place.name} was ${this.#state} already`);
    }
    this.#state = 'committing';
    this.#publishing = this.#publishAsAsked();
    await this.#publishing;
    this.#state = 'committed';
  }

  async abort(): Promise<void> {
    const before = this.#state;
    if (before === 'committed' || before === 'aborted') return;
    this.#state = 'aborted';
    this.#stop.abort(new BackupError('aborted', `The upload of ${this.#held.place.name} was aborted`));
    const isPublished = await this.#publishing?.then(
      () => true,
      () => false,
    );
    if (isPublished === true) return;
    const signal = AbortSignal.timeout(ABORT_MS);
    await this.#held.discard(signal);
    // What was replaced is gone anyway.
    if (before === 'committing' && !this.#replace) await this.#removeOurs(signal);
  }

  async #publishAsAsked(): Promise<void> {
    await this.#publish();
    await ensureStoredAsAsked(this.#store, this.#held.place, this.#stop.signal);
  }

  async #publish(): Promise<void> {
    const { signal } = this.#stop;
    const { conditional } = this.#store.target.preset;
    if (!this.#replace && conditional !== 'all') await this.#refuseOther(signal);
    const onlyNew = !this.#replace && conditional !== 'none' && !this.#store.lacksConditions;
    try {
      await this.#held.publish(onlyNew, signal);
    } catch (error) {
      this.#uncertain = error instanceof BackupError && error.transient;
      if (onlyNew && statusOf(error) === 501) {
        this.#store.lacksConditions = true;
        await this.#held.publish(false, signal);
        return;
      }
      // An attempt before this one has succeeded, but its acknowledgement was lost.
      const mayBeOurs = isS3Code(error, 'PreconditionFailed', 'NoSuchUpload');
      if (!mayBeOurs || !(await this.#isOurs(signal))) throw error;
    }
  }

  /** For servers that do not check it themselves, or not in every version. */
  async #refuseOther(signal: AbortSignal): Promise<void> {
    const { place } = this.#held;
    if ((await findObject(this.#store, place.path, signal)) !== undefined) throw alreadyExists(place.name);
  }

  async #removeOurs(signal: AbortSignal): Promise<void> {
    for (const ms of this.#uncertain ? LOOKS_MS : [0]) {
      await pause(ms, signal);
      if (!(await this.#isOurs(signal))) continue;
      await removeObject(this.#store, this.#held.place.path, signal);
      return;
    }
  }

  async #isOurs(signal: AbortSignal): Promise<boolean> {
    const { place, writer } = this.#held;
    const found = await findObject(this.#store, place.path, signal);
    return found !== undefined && isWrittenBy(found.metadata, writer);
  }
}
