import type { TimeZone } from '../../lib/schedule/time-zone.ts';

/** A time for people, to the minute, in a time zone: `2026-11-24 02:30`. */
export function dateAndTime(at: number, zone: TimeZone): string {
  return new Date(zone.localAt(at)).toISOString().slice(0, 16).replace('T', ' ');
}

/** The same without the date when it is less than a day away. */
export function shortTime(at: number, zone: TimeZone, now: number): string {
  const isNear = Math.abs(at - now) < 24 * 3_600_000;
  return isNear ? dateAndTime(at, zone).slice(11) : dateAndTime(at, zone);
}

/** What the clocks of a time zone are ahead of UTC, for people: `UTC+02:00`. */
export function offsetText(at: number, zone: TimeZone): string {
  const minutes = Math.round(zone.offsetAt(at) / 60_000);
  const pad = (value: number) => String(value).padStart(2, '0');
  const size = Math.abs(minutes);
  return `UTC${minutes < 0 ? '-' : '+'}${pad(Math.floor(size / 60))}:${pad(size % 60)}`;
}
