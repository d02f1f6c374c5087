import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { BackupError } from '../../lib/errors.ts';
import { calendarOf } from '../../lib/retention/calendar.ts';
import { parseCalendarDuration } from '../../lib/retention/calendar-duration.ts';
import { calendarText } from '../../lib/retention/calendar-text.ts';
import { policyText } from '../../lib/retention/options.ts';
import type { RetentionPolicy } from '../../lib/retention/policy.ts';
import { isPruned, type PruneReport, prune as pruneSets } from '../../lib/retention/prune.ts';
import { type Simulation, simulate } from '../../lib/retention/simulate.ts';
import { retentionReport } from '../../nodes/retention/retention-report.ts';
import { formatBytes } from '../../nodes/status/quantities.ts';
import type { CommandBody } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTable, formatTime, printable } from '../format.ts';
import { askHistory } from '../history.ts';
import type { Output } from '../output.ts';
import { choosePolicy, type PolicyInput } from '../retention-policy.ts';
import { openPlace, type StorageOptions } from '../storage-options.ts';
import { pathBelow, type StoragePlace } from '../stored-sets.ts';

export interface PruneInput extends StorageOptions, PolicyInput {
  readonly job?: string;
  /** Without it, only tells what would be removed. */
  readonly delete?: boolean;
  /** How long backups are made in thought: `400d`. */
  readonly simulate?: string;
  /** The pause between two of them: `1d`. */
  readonly every: string;
  readonly json?: boolean;
}

/** Removes the sets of a job that a policy does not keep, or tells which these are, or what it would leave. */
export const prune: CommandBody<PruneInput> = async (input, context) => {
  const { output, signal, env } = context;
  const policy = await choosePolicy(input, env);
  if (input.simulate !== undefined) return showSimulation(input.simulate, input, policy, output);
  const place = await openPlace(input, env);
  const job = input.job ?? (await onlyJob(place, signal));
  const remove = input.delete ?? false;
  const active = new Set((await askHistory(input, env, (store) => store.activeRuns()))?.map(({ id }) => id));
  const isBusy = (runId: string) => active.has(runId);
  const report = await pruneSets({ ...place, job, policy, remove, isBusy, signal });
  if (report.sets.length === 0 && report.error === undefined) throw noSets(place, job);
  if (input.json) output.json({ policy: policyText(policy), ...retentionReport(report) });
  else print(report, place, policy, output);
  return isPruned(report) ? EXIT.ok : EXIT.failed;
};

function showSimulation(span: string, { every, json }: PruneInput, policy: RetentionPolicy, output: Output) {
  const plan = {
    start: Date.now(),
    span: parseCalendarDuration(span),
    every: parseCalendarDuration(every),
  };
  const simulation = simulate(policy, plan);
  if (json) output.json(simulationJson(simulation, policy, every));
  else
    output.print(`${policyText(policy)}, a backup every ${every}\n\n${calendarText(calendarOf(simulation))}`);
  return EXIT.ok;
}

function simulationJson({ zone, days, backups }: Simulation, policy: RetentionPolicy, every: string) {
  const dateOf = (day: number) => days[day]?.date;
  return {
    policy: policyText(policy),
    every,
    zone,
    days,
    backups: backups.map(({ at, stays }) => ({
      at,
      stays: stays.map(({ day, rule }) => ({ date: dateOf(day), rule: rule ?? 'removed' })),
    })),
  };
}

/** @throws BackupError `invalid-config` when the storage holds several jobs: each has a policy of its own */
async function onlyJob(place: StoragePlace, signal: AbortSignal): Promise<string> {
  const { sets } = await listBackupSets(place.driver, { prefix: place.prefix, signal });
  const [only, ...others] = new Set(sets.map(({ manifest }) => manifest.job));
  if (only === undefined) throw noSets(place, undefined);
  if (others.length === 0) return only;
  throw new BackupError(
    'invalid-config',
    `${place.driver.describe()} holds sets of the jobs ${[only, ...others].join(', ')}: say which with --job`,
  );
}

function noSets({ driver }: StoragePlace, job: string | undefined): BackupError {
  const which = job === undefined ? '' : ` of the job ${job}`;
  return new BackupError('not-found', `${driver.describe()} holds no backup sets${which}`);
}

function print(report: PruneReport, place: StoragePlace, policy: RetentionPolicy, output: Output): void {
  const { sets, remove, error, storage, job } = report;
  if (sets.length > 0) {
    output.print(`${printable(storage)}, job ${printable(job)}: ${policyText(policy)}`);
    const rows = sets.map(({ path, startedAt, bytes, kept, verdict }) => [
      kept ? 'keep' : remove ? 'removed' : 'would remove',
      pathBelow(place, path),
      formatTime(startedAt),
      formatBytes(bytes),
      verdict.replace(/^(kept|removed): /, ''),
    ]);
    const header = ['', 'SET', 'STARTED', 'STORED', 'WHY'];
    output.print(
      formatTable(
        header,
        rows.map((row) => row.map(printable)),
      ),
    );
    output.print(summary(report));
  }
  for (const set of sets) if (set.error !== undefined) output.error(set.error);
  if (error !== undefined) output.error(error);
  else if (!remove && sets.some(({ kept }) => !kept)) output.note('Nothing was removed: --delete does it');
}

function summary(report: PruneReport): string {
  const { kept, removed, freedBytes } = retentionReport(report);
  const what = report.remove ? 'removed' : 'would be removed';
  return `${kept} kept, ${removed} ${what} (${formatBytes(freedBytes)})`;
}
