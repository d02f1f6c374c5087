import type { StorePlace } from '../../lib/store/place.ts';
import { openStore } from '../../lib/store/store.ts';

const HOUR_MS = 3_600_000;

/** A schedule that should have fired five hours ago, and will again in nineteen: not while a test runs. */
export class MissedSchedule {
  /** Settings of its node. */
  readonly settings: { readonly type: string } & Readonly<Record<string, unknown>>;
  readonly timetable: string;
  /** When it was last recorded as dealt with, before that. */
  readonly handled: number;

  constructor(now = Date.now()) {
    const time = new Date(now - 5 * HOUR_MS).toISOString().slice(11, 16);
    const [hour, minute] = time.split(':').map(Number);
    this.settings = { type: 'dbackup-schedule', every: 'day', time, zone: 'UTC', schemaVersion: 1 };
    this.timetable = `${minute} ${hour} * * * UTC`;
    this.handled = now - 10 * HOUR_MS;
  }

  /** Lets the stores remember of schedules with these node ids that they were not served since then. */
  async recordIn(place: StorePlace | string, ...nodes: readonly string[]): Promise<void> {
    const store = await openStore(place);
    try {
      for (const node of nodes) {
        const memory = store.schedule(node);
        await memory.open(this.timetable, this.handled);
        await memory.restart(this.handled);
      }
    } finally {
      await store.close();
    }
  }
}
