import type { Clock } from '../clock.ts';
import type { DestinationDriver } from '../destinations/driver.ts';
import { type Answer, FreshValue } from './fresh-value.ts';

/** A disk of this host answers at once; others are asked over a network. In ms. */
const LOCAL_MAX_AGE_MS = 5_000;
const REMOTE_MAX_AGE_MS = 60_000;
const TIMEOUT_MS = 20_000;

/** Free bytes; undefined where the storage cannot tell. */
export type FreeSpace = Answer<number | undefined>;

interface Watched {
  driver: DestinationDriver;
  readonly space: FreshValue<number | undefined>;
}

/** Knows how much space storages have. Each is asked in the background, once for all destinations that share it. */
export class SpaceWatch {
  readonly #clock: Clock;
  readonly #storages = new Map<string, Watched>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** What is known of the storage's space; undefined before its first answer. */
  of(driver: DestinationDriver): FreeSpace | undefined {
    return this.#watched(driver).space.peek();
  }

  /** Forgets all other storages. */
  keep(drivers: readonly DestinationDriver[]): void {
    const kept = new Set(drivers.map((driver) => driver.describe()));
    for (const where of this.#storages.keys()) if (!kept.has(where)) this.#storages.delete(where);
  }

  /** Resolves when every storage has been asked. Never rejects. */
  async settled(): Promise<void> {
    await Promise.all([...this.#storages.values()].map(({ space }) => space.settled()));
  }

  #watched(driver: DestinationDriver): Watched {
    const where = driver.describe();
    const known = this.#storages.get(where);
    if (known !== undefined) {
      // A deploy may have changed how it is reached.
      known.driver = driver;
      return known;
    }
    const watched: Watched = {
      driver,
      space: new FreshValue({
        clock: this.#clock,
        maxAgeMs: driver.kind === 'local' ? LOCAL_MAX_AGE_MS : REMOTE_MAX_AGE_MS,
        timeoutMs: TIMEOUT_MS,
        ask: async (signal) => watched.driver.freeSpace?.(signal),
      }),
    };
    this.#storages.set(where, watched);
    return watched;
  }
}
