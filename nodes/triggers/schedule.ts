import { defineNode } from '../define-node.ts';
import type { ActionEnvironment } from '../form-actions.ts';
import { offer, SCHEDULE, type ScheduleService } from '../services.ts';
import { nextFires } from './next-fires.ts';
import { ScheduleNode } from './schedule-node.ts';
import { type ScheduleSettings, scheduleSettings } from './schedule-settings.ts';

/** Starts the flow behind it at the times that a person chose. */
export const scheduleNode = defineNode({
  type: 'dbackup-schedule',
  set: 'triggers',
  role: 'trigger',
  icon: 'dbackup-schedule.svg',
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  button: 'fire',
  actions: [
    {
      name: 'next',
      route: 'schedules/next',
      icon: 'fa-calendar',
      live: true,
      run: async (settings: ScheduleSettings, { clock, language }) => nextFires(settings, clock, language),
    },
    command('fire', 'schedules/fire', 'fa-play', (schedule) => schedule.fire()),
    command('pause', 'schedules/pause', 'fa-pause', (schedule) => schedule.pause()),
    command('resume', 'schedules/resume', 'fa-step-forward', (schedule) => schedule.resume()),
  ],
  schema: scheduleSettings,
  setup(context) {
    const schedule = new ScheduleNode(context);
    return {
      offers: [offer(SCHEDULE, schedule)],
      onInput: (message) => schedule.obey(message),
      start: () => schedule.begin(),
      close: () => schedule.stop(),
    };
  },
});

/** A button that tells the running schedule what to do. */
function command<Route extends string>(
  name: string,
  route: Route,
  icon: string,
  tell: (schedule: ScheduleService) => void | Promise<void>,
) {
  return {
    name,
    route,
    icon,
    ofRunningNode: true,
    async run(_settings: never, { running }: ActionEnvironment) {
      await tell(running(SCHEDULE));
      return { level: 'ok', text: `${name}.done` } as const;
    },
  } as const;
}
