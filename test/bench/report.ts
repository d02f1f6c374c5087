import { CASES, type CaseId, MAX_RSS_BYTES, MAX_START_SECONDS, TARGETS, type Target } from './cases.ts';
import { type Measurement, median } from './measure.ts';

export type Measurements = ReadonlyMap<CaseId, readonly Measurement[]>;

/** Times of every case: median, spread, rate, peak memory. */
export function timesTable(measurements: Measurements, bytesOf: (id: CaseId) => number): string[] {
  const rows = [...measurements].map(([id, runs]) => {
    const seconds = runs.map((run) => run.seconds);
    const typical = median(seconds);
    return [
      CASES[id].name,
      `${typical.toFixed(2)} s`,
      `${Math.min(...seconds).toFixed(2)}–${Math.max(...seconds).toFixed(2)}`,
      rate(bytesOf(id) / typical),
      megabytes(peakOf(runs)),
    ];
  });
  return table(['case', 'median', 'spread', 'rate', 'peak memory'], rows);
}

/** The figures to reach; `missed` when one of them is not. */
export function targetsTable(measurements: Measurements): { lines: string[]; missed: boolean } {
  const rows: string[][] = [];
  let missed = false;
  for (const target of TARGETS) {
    const ratio = ratioOf(target, measurements);
    if (ratio === undefined) continue;
    const verdict = verdictOn(target, ratio);
    missed ||= verdict === 'MISS';
    rows.push([target.name, ratio.toFixed(2), limitOf(target), verdict]);
  }
  const ours = [...measurements].filter(([id]) => CASES[id].ours).flatMap(([, runs]) => runs);
  const peak = peakOf(ours);
  const start = median(ours.flatMap(({ markSeconds }) => markSeconds ?? []));
  const absolutes: [string, number | undefined, number, (value: number) => string][] = [
    ['peak memory of our processes', peak, MAX_RSS_BYTES, megabytes],
    [
      'dbackup run, to the first byte of the dump',
      start,
      MAX_START_SECONDS,
      (value) => `${value.toFixed(2)} s`,
    ],
  ];
  for (const [name, value, limit, text] of absolutes) {
    if (value === undefined || Number.isNaN(value)) continue;
    missed ||= value > limit;
    rows.push([name, text(value), `≤ ${text(limit)}`, value <= limit ? 'pass' : 'MISS']);
  }
  return { lines: table(['figure', 'measured', 'target', ''], rows), missed };
}

/** The median of the ratios within each round, which is steadier than the ratio of medians. */
function ratioOf(target: Target, measurements: Measurements): number | undefined {
  const ours = measurements.get(target.ours);
  const peers = measurements.get(target.peer);
  if (ours === undefined || peers === undefined) return undefined;
  const costs = ours.map(({ seconds }, round) => seconds / (peers[round]?.seconds ?? Number.NaN));
  return target.kind === 'cost' ? median(costs) : median(costs.map((cost) => 1 / cost));
}

function verdictOn({ kind, limit }: Target, ratio: number): string {
  if (limit === undefined) return 'reported';
  return (kind === 'speed' ? ratio >= limit : ratio <= limit) ? 'pass' : 'MISS';
}

function limitOf({ kind, limit }: Target): string {
  if (limit === undefined) return '';
  return `${kind === 'speed' ? '≥' : '≤'} ${limit.toFixed(2)} × the ${kind === 'speed' ? 'speed' : 'time'}`;
}

function peakOf(runs: readonly Measurement[]): number | undefined {
  const peaks = runs.flatMap(({ peakBytes }) => peakBytes ?? []);
  return peaks.length === 0 ? undefined : Math.max(...peaks);
}

function rate(bytesPerSecond: number): string {
  const megabytesPerSecond = bytesPerSecond / 1e6;
  return `${megabytesPerSecond.toFixed(megabytesPerSecond < 10 ? 1 : 0)} MB/s`;
}

function megabytes(bytes: number | undefined): string {
  return bytes === undefined ? 'unknown' : `${(bytes / 1e6).toFixed(0)} MB`;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows];
  const widths = head.map((_, column) => Math.max(...all.map((row) => (row[column] ?? '').length)));
  const line = (row: readonly string[]) =>
    `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)];
}
