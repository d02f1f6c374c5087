import { pause } from '../backoff.ts';
import type { Clock } from '../clock.ts';
import { BackupError } from '../errors.ts';
import { isLostConnection, storeError } from './store-error.ts';

/** Pauses before a write is tried again that the connection was lost under, in ms: a server restarts meanwhile. */
const PAUSES_MS = [200, 500, 1_000, 2_000, 4_000];
/** After that time it is not tried again, in ms: where nothing answers, each attempt takes its time. */
const LONGEST_MS = 15_000;

/** Asks the store, and says in errors which one it was. */
export class StoreGuard {
  readonly #store: string;
  readonly #clock: Clock;
  readonly #closing = new AbortController();

  /** @param store what it is called in errors */
  constructor(store: string, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** By the clock that the store was opened with. */
  now(): Date {
    return new Date(this.#clock.now());
  }

  /** Asks once. @throws BackupError */
  async once<T>(query: () => Promise<T>): Promise<T> {
    try {
      return await query();
    } catch (thrown) {
      throw storeError(thrown, this.#store);
    }
  }

  /**
   * Writes what may be written twice without harm: again for some seconds while the connection is lost.
   * @throws BackupError
   */
  async write(query: () => Promise<unknown>): Promise<void> {
    const began = this.#clock.now();
    for (const ms of PAUSES_MS) {
      try {
        await query();
        return;
      } catch (thrown) {
        const late = this.#clock.now() - began > LONGEST_MS;
        if (late || this.#closing.signal.aborted || !isLostConnection(thrown)) {
          throw storeError(thrown, this.#store);
        }
      }
      await pause(ms, this.#closing.signal, this.#clock);
    }
    await this.once(query);
  }

  /** Nothing is tried again from now on. */
  close(): void {
    this.#closing.abort(new BackupError('unavailable', `The store ${this.#store} is being closed`));
  }
}
