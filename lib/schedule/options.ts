import { z } from 'zod';
import { toBackupError } from '../errors.ts';
import { CronExpression } from './cron.ts';
import { hostTimeZone, TimeZone } from './time-zone.ts';
import { Timetable } from './timetable.ts';

export const WEEKDAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

/** Numbers of hours that a day can be divided by. */
export const HOUR_STEPS = ['1', '2', '3', '4', '6', '8', '12'] as const;

/** What becomes of a fire while the flow of an earlier one still runs. */
export const OVERLAPS = ['skip', 'queue'] as const;

const time = z
  .string()
  .regex(/^([01]?\d|2[0-3]):[0-5]\d$/, 'is a time of day, such as 02:30')
  .default('02:30')
  .meta({ title: 'Time', description: 'Time of day, in the time zone of the schedule' });

const zone = z.string().trim().max(100).optional().meta({
  title: 'Time zone',
  description: 'A name of the IANA database, such as Europe/Berlin. Empty: that of this host',
});

const policy = {
  jitter: z.number().int().min(0).max(86_400).default(0).meta({
    title: 'Jitter',
    description: 'Each fire comes up to so many seconds later, so that many schedules do not begin at once',
  }),
  catchUp: z.number().min(0).max(744).default(24).meta({
    title: 'Catch up',
    description:
      'Fires that were missed are made up for, once, when the last is not older than that. 0: never',
  }),
  overlap: z.enum(OVERLAPS).default('skip').meta({
    title: 'While it runs',
    description: 'What becomes of a fire while the flow of an earlier one still runs',
  }),
};

/** Every day at a time. */
export const dailyOptions = z.object({ every: z.literal('day'), time, zone, ...policy });

/** On some days of the week. */
export const weeklyOptions = z.object({
  every: z.literal('week'),
  weekdays: z
    .array(z.enum(WEEKDAYS))
    .min(1)
    .default(['mon', 'tue', 'wed', 'thu', 'fri'])
    .meta({ title: 'Days', description: 'mon, tue, wed, thu, fri, sat, sun' }),
  time,
  zone,
  ...policy,
});

/** On a day of the month that every month has. */
export const monthlyOptions = z.object({
  every: z.literal('month'),
  day: z
    .string()
    .regex(/^([1-9]|1\d|2[0-8]|last)$/, 'is 1 to 28, or last')
    .default('1')
    .meta({ title: 'Day', description: '1 to 28, or last for the last day of the month' }),
  time,
  zone,
  ...policy,
});

/** Every so many hours, counted from midnight. */
export const hourlyOptions = z.object({
  every: z.literal('hours'),
  hours: z.enum(HOUR_STEPS).default('6').meta({
    title: 'Hours',
    description: 'Counted from midnight: every 6 hours is at 0, 6, 12 and 18',
  }),
  minute: z.number().int().min(0).max(59).default(0).meta({
    title: 'Minute',
    description: 'Minute of the hour',
  }),
  zone,
  ...policy,
});

/** By a cron expression. */
export const cronOptions = z.object({
  every: z.literal('cron'),
  cron: z.string().min(1).max(500).meta({
    title: 'Cron',
    description:
      'Minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly, @monthly',
  }),
  zone,
  ...policy,
});

/** When a schedule fires, and what it does when it could not. */
export const scheduleOptions = z
  .discriminatedUnion('every', [dailyOptions, weeklyOptions, monthlyOptions, hourlyOptions, cronOptions])
  .superRefine(refuseWrongTimes);

export type ScheduleOptions = z.output<typeof scheduleOptions>;
type Times = z.output<
  | typeof dailyOptions
  | typeof weeklyOptions
  | typeof monthlyOptions
  | typeof hourlyOptions
  | typeof cronOptions
>;

/** The check of what no single field tells: that the expression is one that fires, and that the zone exists. */
export function refuseWrongTimes(options: Times, context: z.core.$RefinementCtx): void {
  const cron = problemOf(() => new CronExpression(cronOf(options)));
  const zone = problemOf(() => new TimeZone(zoneOf(options)));
  const report = (field: string, message: string | undefined) => {
    if (message !== undefined) context.addIssue({ code: 'custom', path: [field], message });
  };
  report(options.every === 'cron' ? 'cron' : 'every', cron);
  report('zone', zone);
}

function problemOf(attempt: () => unknown): string | undefined {
  try {
    attempt();
    return undefined;
  } catch (thrown) {
    return toBackupError(thrown).message;
  }
}

/** When it fires, as a cron expression. */
export function cronOf(options: Times): string {
  switch (options.every) {
    case 'day':
      return `${minuteAndHour(options.time)} * * *`;
    case 'week':
      return `${minuteAndHour(options.time)} * * ${options.weekdays.join(',')}`;
    case 'month':
      return `${minuteAndHour(options.time)} ${options.day === 'last' ? 'l' : options.day} * *`;
    case 'hours':
      return `${options.minute} ${options.hours === '1' ? '*' : `*/${options.hours}`} * * *`;
    case 'cron':
      return options.cron;
  }
}

/** @throws BackupError `invalid-config` when the expression or the zone is none */
export function timetableOf(options: Times): Timetable {
  return new Timetable(cronOf(options), zoneOf(options));
}

function zoneOf({ zone }: Times): string {
  return zone === undefined || zone === '' ? hostTimeZone() : zone;
}

function minuteAndHour(time: string): string {
  const [hour, minute] = time.split(':');
  return `${Number(minute)} ${Number(hour)}`;
}
