import { z } from 'zod';
import { DURATION_PATTERN } from '../../lib/retention/calendar-duration.ts';
import { refuseWrongPolicy, retentionOptions } from '../../lib/retention/options.ts';
import { configNode, jobName, nodeName, storageFolder } from '../forms/common-fields.ts';
import { storageTypes } from '../storages.ts';

const { keepLast, keepDaily, keepWeekly, keepMonthly, keepHourly, keepYearly, keepWithin, keepTags, zone } =
  retentionOptions.shape;

const first = { name: nodeName };

/** The storage and job of a node that is not wired behind a destination. */
const place = { storage: configNode(storageTypes, 'fa-hdd-o'), folder: storageFolder, job: jobName };

const rest = {
  keepLast: keepLast.unwrap().default(3).meta({ icon: 'fa-clone' }),
  keepWithin: keepWithin.meta({ icon: 'fa-history', placeholder: '30d', pattern: DURATION_PATTERN }),
  keepHourly: keepHourly.meta({ icon: 'fa-clock-o' }),
  keepDaily: keepDaily.unwrap().default(14).meta({ icon: 'fa-calendar-o' }),
  keepWeekly: keepWeekly.unwrap().default(8).meta({ icon: 'fa-calendar-check-o' }),
  keepMonthly: keepMonthly.unwrap().default(12).meta({ icon: 'fa-calendar' }),
  keepYearly: keepYearly.meta({ icon: 'fa-archive' }),
  keepTags: keepTags.meta({ icon: 'fa-tags', placeholder: 'release' }),
  zone: zone.meta({ icon: 'fa-globe', placeholder: 'Europe/Berlin' }),
  afterPartial: z.boolean().default(false).meta({ icon: 'fa-adjust', section: 'advanced' }),
  dryRun: z.boolean().default(false).meta({ icon: 'fa-eye', section: 'advanced' }),
};

/** What a retention node prunes, and by which policy. */
export const retentionSettings = z
  .discriminatedUnion('from', [
    z.object({ ...first, from: z.literal('message').meta({ icon: 'fa-search' }), ...rest }),
    z.object({ ...first, from: z.literal('storage'), ...place, ...rest }),
  ])
  .superRefine(refuseWrongPolicy);

export type RetentionSettings = z.output<typeof retentionSettings>;
