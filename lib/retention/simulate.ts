import { BackupError } from '../errors.ts';
import { addDuration, type CalendarDuration } from './calendar-duration.ts';
import { judge, type Reason, type RetainedSet, type RetentionPolicy } from './policy.ts';

/** More would take longer than a person waits. */
export const MAX_SIMULATED = 20_000;
/** Days that a simulation can be long. */
const MAX_DAYS = 4000;

export interface SimulationPlan {
  /** When the first backup is made, in ms since 1970. */
  readonly start: number;
  /** How long backups are made. */
  readonly span: CalendarDuration;
  /** The pause between two backups. */
  readonly every: CalendarDuration;
}

/** What a policy would do to backups that all succeed, with a pruning after each of them. */
export interface Simulation {
  readonly zone: string;
  /** Every day of the span, in the time zone of the policy. */
  readonly days: readonly SimulatedDay[];
  /** Oldest first. */
  readonly backups: readonly SimulatedBackup[];
}

export interface SimulatedDay {
  /** `2026-11-23` */
  readonly date: string;
  /** How many sets there are at its end. */
  readonly sets: number;
  /** The day that the oldest of them was made on. */
  readonly oldest: string;
}

export interface SimulatedBackup {
  /** ISO 8601, UTC. */
  readonly at: string;
  /** Place of its day in `days`. */
  readonly day: number;
  /** What keeps it at the end of that day and of each day on which that changes; the last may be its removal. */
  readonly stays: readonly SimulatedStay[];
}

export interface SimulatedStay {
  /** Place of the day in `days`. */
  readonly day: number;
  /** The first rule that keeps it; undefined once it is removed. */
  readonly rule?: KeepingRule;
}

/** Rules of a policy, in the order in which they give a set up, mostly. */
export const KEEPING_RULES = ['last', 'within', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
export type KeepingRule = (typeof KEEPING_RULES)[number];

/**
 * Makes backups in thought and prunes after each.
 * @throws BackupError `invalid-config` when it would take too long
 */
export function simulate(policy: RetentionPolicy, plan: SimulationPlan): Simulation {
  const { buckets } = policy;
  const times = timesOf(policy, plan);
  const days: SimulatedDay[] = [];
  const stays = new Map<number, SimulatedStay[]>();
  const dayOf = new Map<number, number>();
  let sets: RetainedSet[] = [];
  let next = 0;
  for (const date of datesBetween(policy, plan)) {
    const day = days.length;
    for (
      let at = times[next];
      at !== undefined && buckets.nameOf('daily', at) === date;
      next += 1, at = times[next]
    ) {
      dayOf.set(at, day);
      stays.set(at, []);
      sets = [...sets, { path: String(at), at, quality: 'good', tags: [] }];
      sets = judge(sets, policy)
        .filter(({ reasons }) => reasons.length > 0)
        .map(({ set }) => set);
    }
    const kept = new Map(judge(sets, policy).map(({ set, reasons }) => [set.at, firstRule(reasons)]));
    for (const [at, known] of stays) note(known, day, kept.get(at));
    const oldest = Math.min(...kept.keys());
    days.push({ date, sets: kept.size, oldest: kept.size === 0 ? date : buckets.nameOf('daily', oldest) });
  }
  const backups = [...stays].map(([at, known]) => ({
    at: new Date(at).toISOString(),
    day: dayOf.get(at) ?? 0,
    stays: known,
  }));
  return { zone: buckets.zone.name, days, backups };
}

/** What keeps a backup at the end of a day; undefined when it is not made yet, or removed. */
export function ruleOn({ stays }: SimulatedBackup, day: number): KeepingRule | undefined {
  return stays.findLast((stay) => stay.day <= day)?.rule;
}

function note(stays: SimulatedStay[], day: number, rule: KeepingRule | undefined): void {
  const before = stays.at(-1);
  if (before !== undefined && before.rule === rule) return;
  stays.push(rule === undefined ? { day } : { day, rule });
}

function firstRule(reasons: readonly Reason[]): KeepingRule | undefined {
  return KEEPING_RULES.find((rule) => reasons.some((reason) => reason.rule === rule));
}

function timesOf({ buckets }: RetentionPolicy, { start, span, every }: SimulationPlan): number[] {
  const end = addDuration(start, span, buckets.zone);
  const times: number[] = [];
  for (let count = 0; ; count += 1) {
    const at = addDuration(start, every, buckets.zone, count);
    if (at >= end) return times;
    times.push(at);
    if (times.length > MAX_SIMULATED) {
      throw new BackupError(
        'invalid-config',
        `A backup every ${every.text} for ${span.text} makes more than ${MAX_SIMULATED}: simulate a shorter time`,
      );
    }
  }
}

function datesBetween({ buckets }: RetentionPolicy, { start, span }: SimulationPlan): string[] {
  const { zone } = buckets;
  const last = buckets.nameOf('daily', addDuration(start, span, zone) - 1);
  const dates: string[] = [];
  for (let at = Date.parse(`${buckets.nameOf('daily', start)}T00:00:00Z`); ; at += 24 * 3_600_000) {
    const date = new Date(at).toISOString().slice(0, 10);
    dates.push(date);
    if (date >= last) return dates;
    if (dates.length > MAX_DAYS) {
      throw new BackupError(
        'invalid-config',
        `${span.text} is too long to be simulated: ${MAX_DAYS} days at most`,
      );
    }
  }
}
