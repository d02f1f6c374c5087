import type { Clock, ClockTimer } from '../clock.ts';
import type { ToldEvent } from '../events/run-event.ts';
import type { DestinationBinding } from '../plan/bindings.ts';
import { formatBytes } from '../quantities.ts';
import type { SpaceWatch } from './space-watch.ts';

/** How often storages are asked when nothing else happens, in ms. */
const LOOK_EVERY_MS = 5 * 60_000;
/** How much more than it must have is free on a storage that is well again: it shall not be told of all the time. */
const WELL_AGAIN = 1.05;

export interface SpaceAlarmParts {
  readonly space: SpaceWatch;
  readonly clock: Clock;
  /** Free bytes that each storage must have; 0: none. */
  readonly leastBytes: number;
  /** Where the flow stores now. */
  destinations(): readonly { readonly name: string; readonly binding: DestinationBinding }[];
  tell(event: ToldEvent): void;
}

interface Storage {
  readonly where: string;
  readonly binding: DestinationBinding;
  readonly destinations: { readonly node: string; readonly label: string }[];
}

/** Tells when a storage has less free space than it must have, once, and when it has enough again. */
export class SpaceAlarm {
  readonly #parts: SpaceAlarmParts;
  readonly #low = new Set<string>();
  #timer: ClockTimer | undefined;
  #looking: Promise<void> | undefined;

  constructor(parts: SpaceAlarmParts) {
    this.#parts = parts;
  }

  /** Looks now, and from then on every now and then. */
  begin(): void {
    const { clock, leastBytes } = this.#parts;
    if (leastBytes === 0) return;
    this.#timer?.cancel();
    this.#timer = clock.setTimer(() => this.begin(), LOOK_EVERY_MS);
    void this.look();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Asks every storage. Never rejects. */
  look(): Promise<void> {
    this.#looking ??= this.#look().finally(() => (this.#looking = undefined));
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { space } = this.#parts;
    const storages = this.#storages();
    for (const { binding } of storages) space.of(binding.driver);
    await space.settled();
    for (const storage of storages) {
      const answer = space.of(storage.binding.driver);
      // One that cannot be asked, or does not tell, is as it was.
      if (answer !== undefined && 'value' in answer && answer.value !== undefined) {
        this.#compare(storage, answer.value);
      }
    }
    const known = new Set(storages.map(({ where }) => where));
    for (const where of this.#low) if (!known.has(where)) this.#low.delete(where);
  }

  #compare({ where, destinations }: Storage, freeBytes: number): void {
    const { leastBytes, tell } = this.#parts;
    const isLow = this.#low.has(where);
    const crossed = crossing(isLow, freeBytes, leastBytes);
    if (crossed === undefined) return;
    if (crossed === 'below') this.#low.add(where);
    else this.#low.delete(where);
    const free = `${formatBytes(freeBytes)} free, it must have ${formatBytes(leastBytes)}`;
    const summary =
      crossed === 'below' ? `${where} has only ${free}` : `${where} has enough space again: ${free}`;
    const facts = { storage: where, crossed, freeBytes, thresholdBytes: leastBytes, destinations };
    tell({ event: 'storage-threshold', ...facts, summary });
  }

  /** Destinations that share a storage share its space. */
  #storages(): Storage[] {
    const storages = new Map<string, Storage>();
    for (const { name, binding } of this.#parts.destinations()) {
      const where = binding.driver.describe();
      const storage = storages.get(where) ?? { where, binding, destinations: [] };
      storages.set(where, storage);
      storage.destinations.push({ node: binding.node, label: name });
    }
    return [...storages.values()];
  }
}

function crossing(isLow: boolean, freeBytes: number, leastBytes: number): 'below' | 'above' | undefined {
  if (!isLow && freeBytes < leastBytes) return 'below';
  return isLow && freeBytes >= leastBytes * WELL_AGAIN ? 'above' : undefined;
}
