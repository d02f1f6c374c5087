import { CronExpression } from './cron.ts';
import { TimeZone } from './time-zone.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** How far back is looked for the last fire, step by step, in ms: 29 February is eight years apart at most. */
const LOOK_BACK_MS = [2 * HOUR_MS, 2 * DAY_MS, 35 * DAY_MS, 400 * DAY_MS, 9 * 366 * DAY_MS];

/**
 * When a schedule fires: the local times of a cron expression in a time zone. Instants are milliseconds since 1970.
 *
 * When clocks change, nothing fires twice and nothing is left out:
 * - a local time that does not exist fires right after the gap; several of them fire once;
 * - a local time that exists twice fires the first time.
 *
 * An expression that fires in every hour counts real hours instead: it goes on through an hour that comes twice, and
 * has nothing to make up for one that is left out.
 */
export class Timetable {
  readonly cron: CronExpression;
  readonly zone: TimeZone;

  /** @throws BackupError `invalid-config` when the expression or the zone is none */
  constructor(cron: string, zone: string) {
    this.cron = new CronExpression(cron);
    this.zone = new TimeZone(zone);
  }

  /** Says whether two timetables are the same. */
  get identity(): string {
    return `${this.cron.text} ${this.zone.name}`;
  }

  /** The first fire after that instant. */
  next(after: number): number {
    return this.cron.everyHour ? this.#nextInRealTime(after) : this.#nextByLocalTime(after);
  }

  /** The last fire after `after` and up to `upTo`. */
  last(after: number, upTo: number): number | undefined {
    for (const back of LOOK_BACK_MS) {
      const from = Math.max(after, upTo - back);
      const found = this.#lastBetween(from, upTo);
      if (found !== undefined || from === after) return found;
    }
    return undefined;
  }

  /** How many fires there are after `after` and up to `upTo`; no more than `atMost` are counted. */
  count(after: number, upTo: number, atMost: number): number {
    let count = 0;
    for (let at = this.next(after); at <= upTo && count < atMost; at = this.next(at)) count += 1;
    return count;
  }

  #lastBetween(after: number, upTo: number): number | undefined {
    let last: number | undefined;
    for (let at = this.next(after); at <= upTo; at = this.next(at)) last = at;
    return last;
  }

  #nextByLocalTime(after: number): number {
    const { cron, zone } = this;
    let local = cron.next(zone.localAt(after));
    let instant = zone.instantOf(local);
    // Inside an hour that comes a second time, and for times that fall together at the end of a gap.
    while (instant <= after) {
      local = cron.next(local);
      instant = zone.instantOf(local);
    }
    return instant;
  }

  #nextInRealTime(after: number): number {
    const { cron, zone } = this;
    let from = after + 1;
    let offset = zone.offsetAt(from);
    for (;;) {
      const instant = cron.next(from - 1 + offset) - offset;
      if (zone.offsetAt(instant) === offset) return instant;
      from = zone.changeBetween(from, instant);
      offset = zone.offsetAt(from);
    }
  }
}
