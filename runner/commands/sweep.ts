import type { RunFate } from '../../lib/backupset/orphans.ts';
import { type SweepReport, sweepStorage } from '../../lib/backupset/sweep-storage.ts';
import { formatBytes } from '../../nodes/status/quantities.ts';
import type { CommandBody } from '../command.ts';
import { parseAge } from '../duration.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTable, printable } from '../format.ts';
import { askHistory } from '../history.ts';
import { errorJson } from '../output.ts';
import { openPlaces, type StorageOptions } from '../storage-options.ts';
import type { StoragePlace } from '../stored-sets.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface SweepInput extends StorageOptions {
  /** How long nothing must have been written to what is removed: `24h`. */
  readonly olderThan: string;
  /** Without it, only tells what would be removed. */
  readonly delete?: boolean;
  readonly json?: boolean;
}

/** Removes what killed runs have left in storages, or tells what that would be. */
export const sweep: CommandBody<SweepInput> = async (input, { output, signal, env }) => {
  const graceMs = parseAge(input.olderThan);
  const places = await openPlaces(input, env);
  const fates = historyOf(input, env);
  const remove = input.delete ?? false;
  const reports: SweepReport[] = [];
  for (const { driver, prefixes } of byStorage(places)) {
    reports.push(await sweepStorage({ driver, prefixes, graceMs, remove, fates, signal }));
  }
  if (input.json) output.json({ removed: remove, storages: reports.map(reportJson) });
  else output.print(reports.map((report) => reportText(report, remove)).join('\n'));
  if (!(remove || input.json) && reports.some(findsSomething)) {
    output.note('Nothing was removed: --delete does it');
  }
  for (const { error } of input.json ? [] : reports) if (error !== undefined) output.error(error);
  return reports.some(({ error }) => error !== undefined) ? EXIT.failed : EXIT.ok;
};

function byStorage(places: readonly StoragePlace[]) {
  const storages = new Map<
    string,
    { readonly driver: StoragePlace['driver']; readonly prefixes: string[] }
  >();
  for (const { driver, prefix } of places) {
    const storage = storages.get(driver.describe()) ?? { driver, prefixes: [] };
    storages.set(driver.describe(), storage);
    storage.prefixes.push(prefix);
  }
  return [...storages.values()];
}

/** What the history of this host knows of runs. */
function historyOf(
  input: SweepInput,
  env: Environment,
): (runIds: readonly string[]) => Promise<ReadonlyMap<string, RunFate>> {
  return async (runIds) => (await askHistory(input, env, (store) => store.fates(runIds))) ?? new Map();
}

function findsSomething({ folders, unfinished = [] }: SweepReport): boolean {
  return folders.length + unfinished.length > 0;
}

function reportText(report: SweepReport, removed: boolean): string {
  const { storage, folders, unfinished, left } = report;
  const verdict = removed ? 'removed' : 'would remove';
  const rows = [
    ...folders.map(({ path, files, bytes }) => [
      verdict,
      path,
      `${files} ${files === 1 ? 'file' : 'files'}, ${formatBytes(bytes)}, without a manifest`,
    ]),
    ...(unfinished ?? []).map((path) => [verdict, path, 'unfinished']),
    ...left.map(({ path, reason }) => ['left', path, reason]),
  ].map((row) => row.map(printable));
  if (unfinished === undefined && report.error === undefined) {
    rows.push(['', '', 'This storage tells of unfinished files only when they are removed']);
  }
  if (rows.length > 0 || report.error !== undefined) return formatTable([printable(storage), '', ''], rows);
  return printable(`${storage} holds nothing that interrupted runs have left`);
}

function reportJson({ error, unfinished, ...report }: SweepReport) {
  return {
    ...report,
    ...(unfinished === undefined ? {} : { unfinished }),
    ...(error === undefined ? {} : { error: errorJson(error) }),
  };
}
