import { BackupError } from '../errors.ts';
import type { TimeZone } from '../schedule/time-zone.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Longest duration of each unit: a century is long enough, and no date runs over. */
const MAX = { years: 100, months: 1200, weeks: 5200, days: 36_500, hours: 876_000 } as const;

/** A span of the calendar: a month is as long as the month at hand, a day may have 23 or 25 hours. */
export interface CalendarDuration {
  /** As it was written. */
  readonly text: string;
  readonly months: number;
  readonly days: number;
  readonly hours: number;
}

const FORM = /^(?:(\d{1,6})y)?(?:(\d{1,6})m)?(?:(\d{1,6})w)?(?:(\d{1,6})d)?(?:(\d{1,6})h)?$/;

/** How durations are written, for a form that checks them. */
export const DURATION_PATTERN = String.raw`^(?=\d)(\d{1,6}y)?(\d{1,6}m)?(\d{1,6}w)?(\d{1,6}d)?(\d{1,6}h)?$`;

/**
 * Reads `30d`, `6m`, `1y2m`, `2w`, `36h`: years, months, weeks, days and hours, in this order.
 * @throws BackupError `invalid-config`
 */
export function parseCalendarDuration(text: string): CalendarDuration {
  const found = FORM.exec(text)?.slice(1);
  const [years = 0, months = 0, weeks = 0, days = 0, hours = 0] = (found ?? []).map((part) =>
    Number(part ?? 0),
  );
  const tooLong =
    years > MAX.years || months > MAX.months || weeks > MAX.weeks || days > MAX.days || hours > MAX.hours;
  const isNothing = years + months + weeks + days + hours === 0;
  if (found !== undefined && !tooLong && !isNothing) {
    return { text, months: years * 12 + months, days: weeks * 7 + days, hours };
  }
  throw new BackupError(
    'invalid-config',
    `"${text}" is no duration: write 30d, 2w, 6m (months) or 1y2m, with y, m, w, d and h in this order (100 years at most)`,
  );
}

/** The instant that lies so many times the duration after another one, in ms; a negative count goes back. */
export function addDuration(
  instant: number,
  { months, days, hours }: CalendarDuration,
  zone: TimeZone,
  count = 1,
): number {
  const moved =
    months === 0 && days === 0
      ? instant
      : zone.instantOf(addMonths(zone.localAt(instant), months * count) + days * count * DAY_MS);
  return moved + hours * count * HOUR_MS;
}

/** The same day of another month; its last day where it has none of that number. */
function addMonths(local: number, months: number): number {
  if (months === 0) return local;
  const from = new Date(local);
  const to = new Date(local);
  to.setUTCDate(1);
  to.setUTCMonth(to.getUTCMonth() + months);
  const last = new Date(Date.UTC(to.getUTCFullYear(), to.getUTCMonth() + 1, 0)).getUTCDate();
  to.setUTCDate(Math.min(from.getUTCDate(), last));
  return to.getTime();
}
