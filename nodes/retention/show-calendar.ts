import { calendarOf } from '../../lib/retention/calendar.ts';
import { parseCalendarDuration } from '../../lib/retention/calendar-duration.ts';
import { policyOf } from '../../lib/retention/options.ts';
import { simulate } from '../../lib/retention/simulate.ts';
import { hostTimeZone } from '../../lib/schedule/time-zone.ts';
import type { ActionAnswer, ActionEnvironment } from '../form-actions.ts';
import type { RetentionSettings } from './retention-settings.ts';

/** How often a backup is made in thought; the first is what a form begins with. */
export const SIMULATED_PAUSES = ['1d', '12h', '6h', '1h', '1w'] as const;

/** How long backups are made in thought: a year, and what comes after it. */
const SPAN = '400d';

/** Shows what the policy in the form would leave, day by day. */
export function showCalendar(
  settings: RetentionSettings,
  { clock, option }: Pick<ActionEnvironment, 'clock' | 'option'>,
): ActionAnswer {
  const every = option ?? SIMULATED_PAUSES[0];
  const plan = {
    start: clock.now(),
    span: parseCalendarDuration(SPAN),
    every: parseCalendarDuration(every),
  };
  const calendar = calendarOf(simulate(policyOf(settings), plan));
  const { stored, dates, zone } = calendar;
  const values = { days: dates.length, sets: stored.at(-1) ?? 0, most: Math.max(...stored), zone };
  return {
    level: 'ok',
    text: 'simulate.done',
    values,
    calendar,
    placeholders: { zone: hostTimeZone() },
  };
}
