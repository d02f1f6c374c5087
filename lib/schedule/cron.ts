import type { Cron } from 'croner';
import { BackupError } from '../errors.ts';
import { cronLibrary } from './cron-library.ts';

const NICKNAMES = ['@hourly', '@daily', '@midnight', '@weekly', '@monthly', '@yearly', '@annually'];

/** What each field takes, by the name that the library gives it. */
const FIELDS: Readonly<Record<string, string>> = {
  minute: 'a minute is 0 to 59',
  hour: 'an hour is 0 to 23',
  day: 'a day of the month is 1 to 31, or L for the last',
  month: 'a month is 1 to 12, or jan to dec',
  dayOfWeek: 'a day of the week is 0 to 7, or sun to sat',
};

const HOUR_MS = 3_600_000;
/** Where looking begins, for what is the same on every day. */
const SOME_MIDNIGHT = Date.UTC(2000, 0, 1);

/**
 * A cron expression of five fields (minute, hour, day of the month, month, day of the week), or a nickname such as
 * `@daily`. When both days are given, either will do, as in every cron.
 *
 * It knows no time zone: it counts in local times, given as the milliseconds since 1970 that UTC would have when its
 * clocks show that time.
 */
export class CronExpression {
  readonly text: string;
  /** It fires in every hour of its days, as `0 * * * *` does. */
  readonly everyHour: boolean;
  readonly #cron: Cron;

  /** @throws BackupError `invalid-config` when it is none, or never fires */
  constructor(text: string) {
    this.text = text.trim().replaceAll(/\s+/g, ' ');
    this.#cron = readCron(this.text);
    if (this.#cron.nextRun(new Date(SOME_MIDNIGHT)) === null) {
      throw new BackupError('invalid-config', `"${this.text}" never fires: no month has that day`);
    }
    this.everyHour = firesEveryHour(this.text);
  }

  /** The first local time after this one. */
  next(after: number): number {
    const next = this.#cron.nextRun(new Date(after));
    if (next === null) throw new BackupError('internal', `"${this.text}" has no time after ${after}`);
    return next.getTime();
  }
}

function readCron(text: string): Cron {
  if (!NICKNAMES.includes(text.toLowerCase()) && text.split(' ').length !== 5) {
    throw new BackupError(
      'invalid-config',
      `"${text}" is no cron expression: it needs five fields (minute, hour, day of the month, month, day of the week), such as 30 2 * * *`,
    );
  }
  const { Cron } = cronLibrary();
  try {
    return new Cron(text.toLowerCase(), { utcOffset: 0, mode: '5-part', paused: true });
  } catch (thrown) {
    throw new BackupError('invalid-config', `"${text}" is no cron expression: ${reasonOf(thrown)}`, {
      cause: thrown,
    });
  }
}

/** The library counts days and months from 0 when it says which value is wrong. */
function reasonOf(thrown: unknown): string {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const field = FIELDS[/Invalid value for (\w+)/.exec(message)?.[1] ?? ''];
  return field ?? message.replace(/^CronPattern: /, '');
}

function firesEveryHour(text: string): boolean {
  if (text.startsWith('@')) return text.toLowerCase() === '@hourly';
  const hours = readCron(`0 ${text.split(' ')[1]} * * *`);
  const last = hours.nextRuns(24, new Date(SOME_MIDNIGHT - 1)).at(-1);
  return last?.getTime() === SOME_MIDNIGHT + 23 * HOUR_MS;
}
