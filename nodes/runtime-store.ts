import { EventEmitter } from 'node:events';
import type { NodeAPI } from 'node-red';
import type { Clock } from '../lib/clock.ts';
import { toBackupError } from '../lib/errors.ts';
import type { RunJournal } from '../lib/runs/journal.ts';
import type { InterruptedRun } from '../lib/store/interrupted.ts';
import type { StorePlace } from '../lib/store/place.ts';
import { openStore, type Store } from '../lib/store/store.ts';
import type { StoreSettings } from './store-settings.ts';

export interface RuntimeStoreEvents {
  /** Runs of processes that died, found when the store was opened or later: they are marked failed. */
  interrupted: [readonly InterruptedRun[]];
}

/** The history of a Node-RED, opened at its first use: one without backups leaves no file behind. */
export class RuntimeStore {
  readonly place: StorePlace;
  readonly events = new EventEmitter<RuntimeStoreEvents>();
  readonly #settings: StoreSettings;
  readonly #clock: Clock;
  readonly #log: NodeAPI['log'];
  #opened: Promise<Store> | undefined;

  constructor(settings: StoreSettings, log: NodeAPI['log'], clock: Clock) {
    this.place = settings.place;
    this.#settings = settings;
    this.#log = log;
    this.#clock = clock;
  }

  /** @throws BackupError when it cannot be opened; the next call tries again */
  open(): Promise<Store> {
    this.#opened ??= this.#open();
    // A history that could not be opened once (a full disk) is tried again.
    this.#opened.catch(() => (this.#opened = undefined));
    return this.#opened;
  }

  /** Opens the store with the first run. */
  get journal(): RunJournal {
    return {
      opened: async (run) => (await this.open()).journal.opened(run),
      state: async (runId, state) => (await this.open()).journal.state(runId, state),
      finished: async (result) => (await this.open()).journal.finished(result),
    };
  }

  /** Notes what a run does at the moment. */
  async stage(runId: string, text: string): Promise<void> {
    await (await this.open()).journal.stage(runId, text);
  }

  /** That the record of the backups could not be closed is told, and ends nothing: they are what they are. */
  async close(): Promise<void> {
    const store = await this.#opened?.catch(() => undefined);
    await store
      ?.close()
      .catch((error: unknown) => this.#log.error(`[dbackup] ${toBackupError(error).message}`));
  }

  #open(): Promise<Store> {
    const { place, keep, leaseMs } = this.#settings;
    return openStore(place, {
      keep,
      leaseMs,
      clock: this.#clock,
      interrupted: (runs) => this.#tellInterrupted(runs),
      tell: (level, message) => this.#log[level](`[dbackup] ${message}`),
    });
  }

  #tellInterrupted(runs: readonly InterruptedRun[]): void {
    for (const { id, message } of runs) {
      this.#log.warn(
        `[dbackup] Run ${id} of an earlier process was interrupted: it is marked as failed. ${message}`,
      );
    }
    this.events.emit('interrupted', runs);
  }
}
