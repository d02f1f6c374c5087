import { BackupError } from '../errors.ts';

const DAY_MS = 24 * 3_600_000;

/**
 * A time zone of the IANA database, as this Node.js knows it. Local times are given as the milliseconds since 1970
 * that UTC would have when its clocks show that time.
 *
 * Where clocks are put forward, some local times do not exist; where they are put back, some exist twice.
 */
export class TimeZone {
  readonly name: string;
  readonly #format: Intl.DateTimeFormat;

  /** @throws BackupError `invalid-config` when there is no such zone */
  constructor(name: string) {
    this.#format = formatOf(name);
    this.name = name;
  }

  /** What local clocks are ahead of UTC at that instant, in ms. */
  offsetAt(instant: number): number {
    const shown: Record<string, number> = {};
    for (const { type, value } of this.#format.formatToParts(instant)) shown[type] = Number(value);
    const { year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0 } = shown;
    return Date.UTC(year, month - 1, day, hour, minute, second) - Math.floor(instant / 1000) * 1000;
  }

  localAt(instant: number): number {
    return instant + this.offsetAt(instant);
  }

  /** The instant of a local time: the first one of two; the end of the gap when the time does not exist. */
  instantOf(local: number): number {
    // Between these two lies the local time, whatever the zone is, and at most one change of its clocks.
    const before = this.offsetAt(local - DAY_MS);
    const after = this.offsetAt(local + DAY_MS);
    const byBefore = local - before;
    if (before === after || this.offsetAt(byBefore) === before) return byBefore;
    const byAfter = local - after;
    if (this.offsetAt(byAfter) === after) return byAfter;
    return this.changeBetween(byAfter, byBefore);
  }

  /** The instant after `from`, up to `to`, at which the offset changes. It has to change once between them. */
  changeBetween(from: number, to: number): number {
    const before = this.offsetAt(from);
    let [low, high] = [from, to];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.offsetAt(middle) === before) low = middle;
      else high = middle;
    }
    return high;
  }
}

/** The time zone of this host: `TZ`, else what the operating system is set to. */
export function hostTimeZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

function formatOf(name: string): Intl.DateTimeFormat {
  try {
    return new Intl.DateTimeFormat('en-US', {
      timeZone: name,
      calendar: 'gregory',
      numberingSystem: 'latn',
      hourCycle: 'h23',
      year: 'numeric',
      month: 'numeric',
      day: 'numeric',
      hour: 'numeric',
      minute: 'numeric',
      second: 'numeric',
    });
  } catch (cause) {
    throw new BackupError(
      'invalid-config',
      `"${name}" is no time zone: use a name of the IANA database, such as Europe/Berlin or UTC`,
      { cause },
    );
  }
}
