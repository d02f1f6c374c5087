import { TimeZone } from '../schedule/time-zone.ts';
import { Buckets } from './buckets.ts';
import { fateOn, type RetentionCalendar } from './calendar.ts';
import type { KeepingRule } from './simulate.ts';

const WEEKDAYS = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'];
const MARKS: Readonly<Record<KeepingRule, string>> = {
  last: 'l',
  within: 't',
  hourly: 'h',
  daily: 'd',
  weekly: 'w',
  monthly: 'm',
  yearly: 'y',
};
const GONE = '·';

/**
 * The calendar for a terminal: a line for each week. A day has the number of sets that are stored at its end, and the
 * mark of the rule that keeps its own at the end of it all.
 */
export function calendarText(calendar: RetentionCalendar): string {
  const { dates, stored } = calendar;
  const last = dates.length - 1;
  const width = Math.max(3, ...stored.map((count) => String(count).length + 1));
  const weeks = new Map<string, string[]>();
  const buckets = new Buckets(new TimeZone('UTC'));
  const used = new Set<KeepingRule>();
  for (const [day, date] of dates.entries()) {
    const at = Date.parse(`${date}T00:00:00Z`);
    const week = buckets.nameOf('weekly', at);
    const cells = weeks.get(week) ?? Array<string>(7).fill('');
    weeks.set(week, cells);
    const fate = fateOn(calendar, day, last);
    if (fate?.rule !== undefined) used.add(fate.rule);
    const mark = fate === undefined ? ' ' : fate.rule === undefined ? GONE : MARKS[fate.rule];
    cells[(new Date(at).getUTCDay() + 6) % 7] = `${stored[day]}${mark}`;
  }
  const line = (head: string, cells: readonly string[]) =>
    `${head.padEnd(10)}${cells.map((cell) => cell.padStart(width + 1)).join(' ')}`.trimEnd();
  return [
    line('', WEEKDAYS),
    ...[...weeks].map(([week, cells]) => line(week, cells)),
    '',
    legend(used),
    summary(calendar),
  ].join('\n');
}

function legend(used: ReadonlySet<KeepingRule>): string {
  const rules = (Object.keys(MARKS) as KeepingRule[]).filter((rule) => used.has(rule));
  const kept = rules.map((rule) => `${MARKS[rule]} ${rule}`).join(', ');
  return `Each day: how many sets are stored at its end, and what keeps its own on the last day (${kept}; ${GONE} removed)`;
}

/** What it comes to, in two lines. */
function summary(calendar: RetentionCalendar): string {
  const { dates, stored, zone } = calendar;
  const last = dates.length - 1;
  const most = Math.max(...stored);
  const oldest = dates.find((_, day) => (fateOn(calendar, day, last)?.sets ?? 0) > 0);
  return [
    `On ${dates[last]} there are ${counted(stored[last] ?? 0)}, the oldest of ${oldest ?? 'that day'}`,
    `At most there are ${counted(most)}, first on ${dates[stored.indexOf(most)]} (days of ${zone})`,
  ].join('\n');
}

function counted(count: number): string {
  return `${count} ${count === 1 ? 'set' : 'sets'}`;
}
