import { policyOf } from '../../lib/retention/options.ts';
import { defineNode } from '../define-node.ts';
import { offer, RETENTION } from '../services.ts';
import { dryRun } from './dry-run.ts';
import { type RetentionSettings, retentionSettings } from './retention-settings.ts';
import { runRetention } from './run-retention.ts';
import { SIMULATED_PAUSES, showCalendar } from './show-calendar.ts';

/** Removes the backup sets that its policy does not keep. */
export const retentionNode = defineNode({
  type: 'dbackup-retention',
  set: 'retention',
  role: 'retention',
  icon: 'dbackup-retention.svg',
  inputs: 1,
  outputs: 1,
  schemaVersion: 1,
  actions: [
    { name: 'dryRun', route: 'retention/dry-run', icon: 'fa-eye', run: dryRun },
    {
      name: 'simulate',
      route: 'retention/simulate',
      icon: 'fa-calendar',
      live: true,
      options: SIMULATED_PAUSES,
      standIns: { storage: 'any', job: 'any' },
      run: async (settings: RetentionSettings, environment) => showCalendar(settings, environment),
    },
  ],
  schema: retentionSettings,
  setup(context) {
    return {
      offers: [offer(RETENTION, { policy: () => policyOf(context.settings) })],
      onInput: (message, deliver) => runRetention(context, message, deliver),
    };
  },
});
