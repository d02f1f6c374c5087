import type { TimeZone } from '../schedule/time-zone.ts';

/** From the shortest to the longest. */
export const TIERS = ['hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
export type Tier = (typeof TIERS)[number];

const DAY_MS = 24 * 3_600_000;

/**
 * Names the hour, day, week, month and year that instants fall into in a time zone, as ISO 8601 does:
 * `2026-10-25T02+01:00`, `2026-10-25`, `2026-W43`, `2026-10`, `2026`. The hour that comes twice when clocks are put
 * back is two of them, told apart by the offset.
 */
export class Buckets {
  readonly zone: TimeZone;
  readonly #local = new Map<number, LocalTime>();

  constructor(zone: TimeZone) {
    this.zone = zone;
  }

  nameOf(tier: Tier, instant: number): string {
    const { iso, offset, local } = this.#localTime(instant);
    switch (tier) {
      case 'hourly':
        return `${iso.slice(0, 13)}${offsetText(offset)}`;
      case 'daily':
        return iso.slice(0, 10);
      case 'weekly':
        return isoWeek(local);
      case 'monthly':
        return iso.slice(0, 7);
      case 'yearly':
        return iso.slice(0, 4);
    }
  }

  /** Asking for the offset of a time zone is slow, and the same sets are judged again and again in a simulation. */
  #localTime(instant: number): LocalTime {
    const known = this.#local.get(instant);
    if (known !== undefined) return known;
    const offset = this.zone.offsetAt(instant);
    const local = instant + offset;
    const found = { local, offset, iso: new Date(local).toISOString() };
    this.#local.set(instant, found);
    return found;
  }
}

interface LocalTime {
  readonly local: number;
  readonly offset: number;
  readonly iso: string;
}

/** The ISO week of a local time: it begins on Monday, and belongs to the year that its Thursday is in. */
function isoWeek(local: number): string {
  const weekday = (new Date(local).getUTCDay() + 6) % 7;
  const thursday = new Date(local + (3 - weekday) * DAY_MS);
  const year = thursday.getUTCFullYear();
  const week = Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * DAY_MS)) + 1;
  return `${year}-W${String(week).padStart(2, '0')}`;
}

function offsetText(offsetMs: number): string {
  const minutes = Math.round(offsetMs / 60_000);
  const pad = (value: number) => String(value).padStart(2, '0');
  const size = Math.abs(minutes);
  return `${minutes < 0 ? '-' : '+'}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
}
