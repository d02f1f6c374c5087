import { z } from 'zod';

const percent = (initial: number, title: string, description: string) =>
  z.number().min(0).max(10_000).default(initial).meta({ title, description });
const amount = (title: string, description: string) =>
  z.number().min(0).max(1e9).default(0).meta({ title, description });

/** When a person takes a backup for suspicious. 0: that is not looked at. */
export const guardOptions = z.object({
  runs: z.number().int().min(2).max(100).default(5).meta({
    title: 'Compare with',
    description: 'The last so many good sets of the job; with fewer of them nothing is compared',
  }),
  sizeDeviation: percent(30, 'Size', 'How far the size of a database may be from the median, in percent'),
  rowDeviation: percent(30, 'Rows', 'How far the rows of a table may be from the median, in percent'),
  durationDeviation: percent(
    200,
    'Duration',
    'How much longer than the median a backup may take, in percent',
  ),
  minMegabytes: amount('At least', 'Smallest size of each database before compression, in MB'),
  maxMegabytes: amount('At most', 'Largest size of each database before compression, in MB'),
  maxMinutes: amount('Longest', 'How long a backup may take, in minutes'),
  maxAgeHours: amount('No success since', 'How old the newest good set may be, in hours'),
});

export type GuardLimits = Readonly<z.output<typeof guardOptions>>;
export type GuardLimitsInput = Readonly<z.input<typeof guardOptions>>;
