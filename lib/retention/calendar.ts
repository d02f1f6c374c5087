import type { KeepingRule, Simulation } from './simulate.ts';

/** A simulation by days: what is shown of it. Days are meant by their places in `dates`. */
export interface RetentionCalendar {
  readonly zone: string;
  /** Every day, `2026-11-23`. */
  readonly dates: readonly string[];
  /** How many sets there are at the end of each day. */
  readonly stored: readonly number[];
  /** For each day, what becomes of the sets that were made on it. */
  readonly fates: readonly (readonly DayFate[])[];
}

/** From that day on, until the next fate: so many of the day's sets are there, and the first rule that keeps one. */
export interface DayFate {
  readonly from: number;
  readonly sets: number;
  readonly rule?: KeepingRule;
}

/** Puts the sets of each day together. */
export function calendarOf({ zone, days, backups }: Simulation): RetentionCalendar {
  const made = new Map<number, typeof backups>();
  for (const backup of backups) made.set(backup.day, [...(made.get(backup.day) ?? []), backup]);
  const fates = days.map((_, day) => {
    const ofDay = made.get(day) ?? [];
    const changes = new Set(ofDay.flatMap(({ stays }) => stays.map((stay) => stay.day)));
    const found: DayFate[] = [];
    for (const from of [...changes].sort((a, b) => a - b)) {
      const rules = ofDay.flatMap(({ stays }) => stays.findLast((stay) => stay.day <= from)?.rule ?? []);
      // The latest set of the day stays longest, by the rule that keeps it.
      const rule = rules.at(-1);
      const before = found.at(-1);
      if (before?.sets === rules.length && before.rule === rule) continue;
      found.push({ from, sets: rules.length, ...(rule === undefined ? {} : { rule }) });
    }
    return found;
  });
  return { zone, dates: days.map(({ date }) => date), stored: days.map(({ sets }) => sets), fates };
}

/** What is there on one day of the sets that were made on another; undefined when none were made by then. */
export function fateOn({ fates }: RetentionCalendar, made: number, day: number): DayFate | undefined {
  return fates[made]?.findLast(({ from }) => from <= day);
}
