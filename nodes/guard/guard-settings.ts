import { z } from 'zod';
import { guardOptions } from '../../lib/anomalies/limits.ts';
import { configNode, jobName, nodeName, storageFolder } from '../forms/common-fields.ts';
import { storageTypes } from '../storages.ts';

const { runs, sizeDeviation, rowDeviation, durationDeviation, ...limits } = guardOptions.shape;

const first = { name: nodeName };

/** The storage and job of a node that is not wired behind a destination. */
const place = { storage: configNode(storageTypes, 'fa-hdd-o'), folder: storageFolder, job: jobName };

const rest = {
  runs: runs.meta({ icon: 'fa-balance-scale' }),
  sizeDeviation: sizeDeviation.meta({ icon: 'fa-database', unit: '%' }),
  rowDeviation: rowDeviation.meta({ icon: 'fa-table', unit: '%' }),
  durationDeviation: durationDeviation.meta({ icon: 'fa-clock-o', unit: '%' }),
  minMegabytes: limits.minMegabytes.meta({ icon: 'fa-compress', unit: 'MB' }),
  maxMegabytes: limits.maxMegabytes.meta({ icon: 'fa-expand', unit: 'MB' }),
  maxMinutes: limits.maxMinutes.meta({ icon: 'fa-hourglass-o', unit: 'min' }),
};

/** Which backup a guard node looks at, and what it takes for suspicious. */
export const guardSettings = z.discriminatedUnion('from', [
  z.object({ ...first, from: z.literal('message').meta({ icon: 'fa-search' }), ...rest }),
  z.object({
    ...first,
    from: z.literal('storage'),
    ...place,
    maxAgeHours: limits.maxAgeHours.meta({ icon: 'fa-history', unit: 'h' }),
    ...rest,
  }),
]);

export type GuardSettings = z.output<typeof guardSettings>;
