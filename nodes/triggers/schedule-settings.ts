import { z } from 'zod';
import {
  cronOptions,
  dailyOptions,
  hourlyOptions,
  monthlyOptions,
  refuseWrongTimes,
  weeklyOptions,
} from '../../lib/schedule/options.ts';
import { nodeName } from '../forms/common-fields.ts';

const { every, time, zone, jitter, catchUp, overlap } = dailyOptions.shape;

const first = { name: nodeName };
const clock = { time: time.meta({ icon: 'fa-clock-o', placeholder: '02:30' }) };
const rest = {
  zone: zone.meta({ icon: 'fa-globe', placeholder: 'Europe/Berlin' }),
  overlap: overlap.meta({ icon: 'fa-clone' }),
  catchUp: catchUp.meta({ icon: 'fa-history', unit: 'h', section: 'advanced' }),
  jitter: jitter.meta({ icon: 'fa-random', unit: 's', section: 'advanced' }),
};

/** When the node fires, in one of five forms. */
export const scheduleSettings = z
  .discriminatedUnion('every', [
    z.object({ ...first, every: every.meta({ icon: 'fa-calendar' }), ...clock, ...rest }),
    z.object({
      ...first,
      every: weeklyOptions.shape.every,
      weekdays: weeklyOptions.shape.weekdays.meta({ icon: 'fa-calendar-check-o', placeholder: 'mon' }),
      ...clock,
      ...rest,
    }),
    z.object({
      ...first,
      every: monthlyOptions.shape.every,
      day: monthlyOptions.shape.day.meta({ icon: 'fa-calendar-o', placeholder: '1' }),
      ...clock,
      ...rest,
    }),
    z.object({
      ...first,
      every: hourlyOptions.shape.every,
      hours: hourlyOptions.shape.hours.meta({ icon: 'fa-hourglass-half' }),
      minute: hourlyOptions.shape.minute.meta({ icon: 'fa-clock-o' }),
      ...rest,
    }),
    z.object({
      ...first,
      every: cronOptions.shape.every,
      cron: cronOptions.shape.cron.meta({ icon: 'fa-terminal', placeholder: '30 2 * * mon-fri' }),
      ...rest,
    }),
  ])
  .superRefine(refuseWrongTimes);

export type ScheduleSettings = z.output<typeof scheduleSettings>;
