import { z } from 'zod';
import { BackupError, toBackupError } from '../errors.ts';
import { parseValue } from '../parse.ts';
import { tag } from '../plan/run-annotations.ts';
import { hostTimeZone, TimeZone } from '../schedule/time-zone.ts';
import { Buckets, TIERS } from './buckets.ts';
import { parseCalendarDuration } from './calendar-duration.ts';
import type { RetentionPolicy } from './policy.ts';

/** More sets than a person could want of one kind. */
const MAX_COUNT = 10_000;

const count = (title: string, description: string) =>
  z.number().int().min(0).max(MAX_COUNT).default(0).meta({ title, description });

/** How a person says which sets are kept. 0 and empty: the rule is not used. */
export const retentionOptions = z.object({
  keepLast: count('Last', 'The newest so many sets'),
  keepWithin: z.string().trim().max(40).optional().meta({
    title: 'Within',
    description:
      'All sets that are not older than this, counted from the newest good one: 30d, 2w, 6m (months), 1y2m',
  }),
  keepHourly: count('Hourly', 'The newest set of each of so many hours'),
  keepDaily: count('Daily', 'The newest set of each of so many days'),
  keepWeekly: count('Weekly', 'The newest set of each of so many weeks, which begin on Monday'),
  keepMonthly: count('Monthly', 'The newest set of each of so many months'),
  keepYearly: count('Yearly', 'The newest set of each of so many years'),
  keepTags: z.array(tag).max(50).default([]).meta({
    title: 'Tags',
    description: 'Sets with one of these tags are never removed, and take the place of no other',
  }),
  zone: z.string().trim().max(100).optional().meta({
    title: 'Time zone',
    description:
      'Where days, weeks, months and years begin: a name of the IANA database, such as Europe/Berlin. Empty: that of this host',
  }),
});

export type RetentionOptions = z.output<typeof retentionOptions>;
export type RetentionOptionsInput = z.input<typeof retentionOptions>;

/**
 * The policy that options stand for.
 * @throws BackupError `invalid-config` when one of them is wrong, or none of them keeps anything
 */
export function policyOf(input: RetentionOptionsInput): RetentionPolicy {
  const parsed = parseValue(retentionOptions, input);
  if (!parsed.ok) throw new BackupError('invalid-config', `The retention policy is wrong: ${parsed.problem}`);
  const options = parsed.value;
  const { keepWithin = '', keepTags, zone = '' } = options;
  const within = keepWithin === '' ? undefined : parseCalendarDuration(keepWithin);
  const policy = {
    last: options.keepLast,
    ...(within === undefined ? {} : { within }),
    tiers: {
      hourly: options.keepHourly,
      daily: options.keepDaily,
      weekly: options.keepWeekly,
      monthly: options.keepMonthly,
      yearly: options.keepYearly,
    },
    tags: keepTags,
    buckets: new Buckets(new TimeZone(zone === '' ? hostTimeZone() : zone)),
  };
  if (keepsNothing(options)) throw new BackupError('invalid-config', KEEPS_NOTHING);
  return policy;
}

const KEEPS_NOTHING =
  'The retention policy keeps nothing: say how many of the last, hourly, daily, weekly, monthly or yearly sets are kept, or within which time';

function keepsNothing({ keepLast, keepWithin = '', ...options }: RetentionOptions): boolean {
  const counts = [
    options.keepHourly,
    options.keepDaily,
    options.keepWeekly,
    options.keepMonthly,
    options.keepYearly,
  ];
  return keepLast === 0 && keepWithin === '' && counts.every((value) => value === 0);
}

/** The check of what no single field tells. */
export function refuseWrongPolicy(options: RetentionOptions, context: z.core.$RefinementCtx): void {
  const report = (field: string, check: () => unknown) => {
    try {
      check();
    } catch (thrown) {
      context.addIssue({ code: 'custom', path: [field], message: toBackupError(thrown).message });
    }
  };
  const { keepWithin = '', zone = '' } = options;
  if (keepWithin !== '') report('keepWithin', () => parseCalendarDuration(keepWithin));
  if (zone !== '') report('zone', () => new TimeZone(zone));
  if (keepsNothing(options)) context.addIssue({ code: 'custom', path: [], message: KEEPS_NOTHING });
}

/** The policy in a line, as the options of the command line: `--keep-last 7 --keep-weekly 4`. */
export function policyText({ last, within, tiers, tags, buckets }: RetentionPolicy): string {
  const parts = [
    ...(last > 0 ? [`--keep-last ${last}`] : []),
    ...(within === undefined ? [] : [`--keep-within ${within.text}`]),
    ...TIERS.filter((tier) => tiers[tier] > 0).map((tier) => `--keep-${tier} ${tiers[tier]}`),
    ...tags.map((name) => `--keep-tag ${name}`),
    `--zone ${buckets.zone.name}`,
  ];
  return parts.join(' ');
}
