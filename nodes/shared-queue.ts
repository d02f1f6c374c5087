import type { NodeAPI } from 'node-red';
import { settled } from '../lib/abort.ts';
import { throwIfAborted } from '../lib/errors.ts';
import { SharedFires } from '../lib/queue/shared-fires.ts';
import type { PostgresPlace } from '../lib/store/place.ts';

/** How long workers may take to give back what they have taken, in ms. */
const FAREWELL_MS = 5_000;

/** The queue of schedules that this Node-RED shares with others, opened by the first schedule. */
export class SharedQueue {
  readonly #open: () => Promise<SharedFires>;
  readonly #closing: AbortSignal;
  readonly #workers = new Set<Promise<unknown>>();
  #fires: Promise<SharedFires> | undefined;

  constructor(place: PostgresPlace, leaseMs: number, closing: AbortSignal, log: NodeAPI['log']) {
    this.#open = () => SharedFires.open(place, { leaseMs, warn: (text) => log.warn(`[dbackup] ${text}`) });
    this.#closing = closing;
  }

  /** @throws BackupError when it cannot be opened; the next call tries again */
  async fires(): Promise<SharedFires> {
    if (this.#fires !== undefined) return await this.#fires;
    throwIfAborted(this.#closing);
    this.#fires = this.#open();
    this.#fires.catch(() => (this.#fires = undefined));
    return await this.#fires;
  }

  /** It is not closed before this settles. */
  waitFor(worker: Promise<unknown>): void {
    this.#workers.add(worker);
    const forget = () => this.#workers.delete(worker);
    worker.then(forget, forget);
  }

  /** Never rejects. */
  async close(): Promise<void> {
    await settled(Promise.all(this.#workers), FAREWELL_MS);
    const fires = await this.#fires?.catch(() => undefined);
    await fires?.close();
  }
}
