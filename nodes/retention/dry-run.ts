import { policyOf } from '../../lib/retention/options.ts';
import type { Reason } from '../../lib/retention/policy.ts';
import { type PrunedSet, type PruneReport, type PruneRequest, prune } from '../../lib/retention/prune.ts';
import type { TimeZone } from '../../lib/schedule/time-zone.ts';
import type { ActionAnswer, ActionEnvironment, AnswerRow, AnswerText } from '../form-actions.ts';
import { STORAGE } from '../services.ts';
import { formatBytes } from '../status/quantities.ts';
import { dateAndTime } from '../triggers/local-time.ts';
import { retentionReport } from './retention-report.ts';
import type { RetentionSettings } from './retention-settings.ts';

/** Shows what the policy in the form would do with the sets that are stored now. */
export async function dryRun(
  settings: RetentionSettings,
  environment: ActionEnvironment,
): Promise<ActionAnswer> {
  const { clock, signal } = environment;
  const policy = policyOf(settings);
  const reports: PruneReport[] = [];
  for (const place of placesOf(settings, environment)) {
    reports.push(await prune({ ...place, policy, clock, signal, remove: false }));
  }
  if (reports.length === 0) return { level: 'warning', text: 'dryRun.nowhere' };
  const found = reports.filter(({ sets, error }) => sets.length > 0 || error !== undefined);
  if (found.length === 0) return { level: 'warning', text: 'dryRun.empty', values: { job: jobsOf(reports) } };
  const refused = found.flatMap(({ error }) => error ?? []);
  const sums = found.map(retentionReport);
  const values = {
    kept: sum(sums.map(({ kept }) => kept)),
    removed: sum(sums.map(({ removed }) => removed)),
    bytes: formatBytes(sum(sums.map(({ freedBytes }) => freedBytes))),
  };
  return {
    level: refused.length > 0 ? 'warning' : 'ok',
    text: refused.length > 0 ? 'dryRun.refused' : 'dryRun.done',
    values,
    notes: refused.map(({ message }) => message),
    rows: found.flatMap((report) => rowsOf(report, policy.buckets.zone, found.length > 1)),
  };
}

function placesOf(
  settings: RetentionSettings,
  { use, before }: ActionEnvironment,
): Pick<PruneRequest, 'driver' | 'prefix' | 'job'>[] {
  if (settings.from === 'storage') {
    const { storage, folder, job } = settings;
    return [{ driver: use(STORAGE, storage).driver(), prefix: folder, job }];
  }
  return before().flatMap(({ binding: { driver, prefix }, jobs }) =>
    jobs.map((job) => ({ driver, prefix, job })),
  );
}

function rowsOf({ storage, job, sets }: PruneReport, zone: TimeZone, isOneOfSeveral: boolean): AnswerRow[] {
  const rows = sets.map(
    (set): AnswerRow => ({
      name: dateAndTime(Date.parse(set.startedAt), zone),
      detail: set.verdict,
      texts: textsOf(set),
      ...(set.kept ? {} : { tone: 'removed' }),
    }),
  );
  return isOneOfSeveral ? [{ name: job, detail: storage, tone: 'heading' }, ...rows] : rows;
}

function textsOf({ reasons, quality }: PrunedSet): AnswerText[] {
  const why = reasons.length === 0 ? [{ text: 'verdicts.none' }] : reasons.map(textOf);
  return quality === 'good' ? why : [...why, { text: `verdicts.${quality}` }];
}

function textOf(reason: Reason): AnswerText {
  switch (reason.rule) {
    case 'newest':
      return { text: reason.quality === 'good' ? 'verdicts.newest' : 'verdicts.newestOfAll' };
    case 'locked':
      return reason.until === undefined
        ? { text: 'verdicts.held' }
        : { text: 'verdicts.locked', values: { until: reason.until } };
    default: {
      const { rule, ...values } = reason;
      return { text: `verdicts.${rule}`, values };
    }
  }
}

function jobsOf(reports: readonly PruneReport[]): string {
  return [...new Set(reports.map(({ job }) => job))].join(', ');
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
