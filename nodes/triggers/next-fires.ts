import type { Clock } from '../../lib/clock.ts';
import { timetableOf } from '../../lib/schedule/options.ts';
import { hostTimeZone } from '../../lib/schedule/time-zone.ts';
import type { ActionAnswer } from '../form-actions.ts';
import { dateAndTime, offsetText } from './local-time.ts';
import type { ScheduleSettings } from './schedule-settings.ts';

const COUNT = 5;

/** Shows the next fires of a schedule, as it stands in the form. */
export function nextFires(settings: ScheduleSettings, clock: Clock, language: string): ActionAnswer {
  const timetable = timetableOf(settings);
  const { zone } = timetable;
  const weekday = new Intl.DateTimeFormat(language, { weekday: 'long', timeZone: zone.name });
  const rows = [];
  for (let at = timetable.next(clock.now()); rows.length < COUNT; at = timetable.next(at)) {
    const detail = `${weekday.format(at)}, ${offsetText(at, zone)}`;
    rows.push({ name: dateAndTime(at, zone), detail });
  }
  const values = { zone: zone.name, cron: timetable.cron.text, jitter: settings.jitter };
  return {
    level: 'ok',
    text: settings.jitter > 0 ? 'next.withJitter' : 'next.fires',
    values,
    rows,
    placeholders: { zone: hostTimeZone() },
  };
}
