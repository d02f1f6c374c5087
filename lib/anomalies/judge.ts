import { formatBytes, formatDuration } from '../quantities.ts';
import type { GuardLimits } from './limits.ts';
import type { Observation, ObservedDatabase } from './observation.ts';
import { isUsual, type Tolerance, type UsualRange, usualRange } from './usual-range.ts';

/** Differences of sizes that are always usual: a few pages more or less, in bytes. */
const SIZE_FLOOR = 65_536;
/** The same for rows of a table, and for durations in ms. */
const ROW_FLOOR = 10;
const DURATION_FLOOR = 60_000;
/** Tables of one database that are told one by one. */
const MAX_TABLES = 10;
const MEGABYTE = 1_000_000;

/** Something that is not as it should be. */
export interface Finding {
  readonly kind:
    | 'size'
    | 'minimum-size'
    | 'maximum-size'
    | 'rows'
    | 'databases'
    | 'duration'
    | 'maximum-duration'
    | 'age';
  /** In one line of English. */
  readonly message: string;
  readonly database?: string;
  readonly table?: string;
  /** Bytes, rows or seconds. */
  readonly value?: number;
  /** The median, or the limit. */
  readonly expected?: number;
}

export interface GuardVerdict {
  /** `unknown`: nothing speaks against the set, but there are too few good ones before it to compare with. */
  readonly verdict: 'fine' | 'suspicious' | 'unknown';
  /** How many good sets it was compared with, and how many that takes. */
  readonly compared: number;
  readonly needed: number;
  readonly findings: readonly Finding[];
  /** Databases that are in too few of these sets to be compared. */
  readonly notCompared: readonly string[];
}

/** What a backup that took long does not say: that something is missing in it. */
const ABOUT_TIME: readonly Finding['kind'][] = ['duration', 'maximum-duration', 'age'];

/** The findings that speak against the content of a set. */
export function aboutContent(findings: readonly Finding[]): Finding[] {
  return findings.filter(({ kind }) => !ABOUT_TIME.includes(kind));
}

/**
 * Compares a backup with good ones before it, and with the limits.
 * @param before good ones of the same job; the last `limits.runs` of them are looked at
 */
export function judgeBackup(
  current: Observation,
  before: readonly Observation[],
  limits: GuardLimits,
): GuardVerdict {
  const compared = before.slice(0, limits.runs);
  const isEnough = compared.length === limits.runs;
  const databases = [...current.databases].map(([key, database]) => ({
    database,
    past: compared.flatMap((each) => each.databases.get(key) ?? []),
  }));
  const findings = [
    ...databases.flatMap(({ database }) => absoluteSize(database, limits)),
    ...(limits.maxMinutes > 0 ? absoluteDuration(current, limits) : []),
    ...(isEnough ? missingDatabases(current, compared) : []),
    ...databases.flatMap(({ database, past }) =>
      past.length < limits.runs ? [] : compareDatabase(database, past, limits),
    ),
    ...(isEnough ? compareDuration(current, compared, limits) : []),
  ];
  const notCompared = databases.filter(({ past }) => past.length < limits.runs);
  return {
    ...verdictOf(findings, isEnough),
    compared: compared.length,
    needed: limits.runs,
    notCompared: notCompared.map(({ database }) => database.name),
  };
}

/** The same verdict with something more that was found. */
export function withFindings(verdict: GuardVerdict, more: readonly Finding[]): GuardVerdict {
  const isEnough = verdict.compared === verdict.needed;
  return { ...verdict, ...verdictOf([...verdict.findings, ...more], isEnough) };
}

/**
 * Finds that a job has had no good backup for too long.
 * @param newestGood when its newest good set was begun, in ms since 1970; undefined: there is none
 */
export function judgeAge(
  newestGood: number | undefined,
  now: number,
  { maxAgeHours }: GuardLimits,
): Finding[] {
  const limitMs = maxAgeHours * 3_600_000;
  if (limitMs === 0) return [];
  if (newestGood === undefined) return [{ kind: 'age', message: 'there is no good backup at all' }];
  const age = now - newestGood;
  if (age <= limitMs) return [];
  const since = new Date(newestGood).toISOString();
  return [
    {
      kind: 'age',
      message: `no success since ${since}, ${formatDuration(age)} ago (limit: ${formatDuration(limitMs)})`,
      value: Math.round(age / 1000),
      expected: Math.round(limitMs / 1000),
    },
  ];
}

function verdictOf(
  findings: readonly Finding[],
  isEnough: boolean,
): Pick<GuardVerdict, 'verdict' | 'findings'> {
  if (findings.length > 0) return { verdict: 'suspicious', findings };
  return { verdict: isEnough ? 'fine' : 'unknown', findings };
}

function absoluteSize({ name, rawBytes }: ObservedDatabase, limits: GuardLimits): Finding[] {
  const least = limits.minMegabytes * MEGABYTE;
  const most = limits.maxMegabytes * MEGABYTE;
  const size = formatBytes(rawBytes);
  const about = { database: name, value: rawBytes };
  if (rawBytes < least) {
    const message = `${name} has ${size}, less than the least of ${formatBytes(least)}`;
    return [{ kind: 'minimum-size', message, ...about, expected: least }];
  }
  if (most === 0 || rawBytes <= most) return [];
  const message = `${name} has ${size}, more than the most of ${formatBytes(most)}`;
  return [{ kind: 'maximum-size', message, ...about, expected: most }];
}

function absoluteDuration({ durationMs }: Observation, { maxMinutes }: GuardLimits): Finding[] {
  const mostMs = maxMinutes * 60_000;
  if (durationMs <= mostMs) return [];
  return [
    {
      kind: 'maximum-duration',
      message: `the backup took ${formatDuration(durationMs)}, more than the most of ${formatDuration(mostMs)}`,
      value: durationMs / 1000,
      expected: mostMs / 1000,
    },
  ];
}

/** Databases that each of the sets before has. One that failed is told elsewhere, and is not missing. */
function missingDatabases({ databases, failed }: Observation, before: readonly Observation[]): Finding[] {
  const [newest, ...others] = before;
  return [...(newest?.databases ?? [])]
    .filter(([key]) => !databases.has(key) && !failed.has(key))
    .filter(([key]) => others.every((each) => each.databases.has(key)))
    .map(([, { name }]) => ({
      kind: 'databases',
      message: `${name} is missing, which each of the last ${before.length} good sets has`,
      database: name,
    }));
}

function compareDatabase(
  database: ObservedDatabase,
  past: readonly ObservedDatabase[],
  { sizeDeviation, rowDeviation }: GuardLimits,
): Finding[] {
  const sizes = past.map(({ rawBytes }) => rawBytes);
  return [
    ...(sizeDeviation > 0 ? compareSize(database, sizes, sizeDeviation) : []),
    ...(rowDeviation > 0 ? compareRows(database, past, rowDeviation) : []),
  ];
}

function compareSize(
  { name, rawBytes }: ObservedDatabase,
  sizes: readonly number[],
  deviation: number,
): Finding[] {
  const range = rangeOf(sizes, deviation, SIZE_FLOOR);
  if (range === undefined || isUsual(rawBytes, range)) return [];
  const message = `${name} has ${formatBytes(rawBytes)}, usual are ${formatBytes(range.median)}`;
  return [{ kind: 'size', message, database: name, value: rawBytes, expected: range.median }];
}

/** Each table that all of the dumps before were counted for; one that is gone has lost all of its rows. */
function compareRows(
  { name, tables }: ObservedDatabase,
  past: readonly ObservedDatabase[],
  deviation: number,
): Finding[] {
  const counted = past.flatMap((each) => each.tables ?? []);
  if (tables === undefined || counted.length < past.length) return [];
  const names = new Set(counted.flatMap((each) => [...each.keys()]));
  const found: Finding[] = [];
  for (const table of names) {
    const range = rangeOf(
      counted.map((each) => each.get(table) ?? 0),
      deviation,
      ROW_FLOOR,
    );
    const rows = tables.get(table);
    if (range === undefined || isUsual(rows ?? 0, range)) continue;
    const has = rows === undefined ? 'is gone' : `has ${rows} rows`;
    const message = `${name}: the table ${table} ${has}, usual are ${Math.round(range.median)} rows`;
    found.push({ kind: 'rows', message, database: name, table, value: rows ?? 0, expected: range.median });
  }
  return shortened(found, name);
}

function shortened(found: readonly Finding[], name: string): Finding[] {
  if (found.length <= MAX_TABLES) return [...found];
  const more = `${name}: the rows of ${found.length - MAX_TABLES} more tables are unusual`;
  return [...found.slice(0, MAX_TABLES), { kind: 'rows', message: more, database: name }];
}

/** Only what takes longer than usual. */
function compareDuration(
  { durationMs }: Observation,
  before: readonly Observation[],
  { durationDeviation }: GuardLimits,
): Finding[] {
  if (durationDeviation === 0) return [];
  const past = before.map((each) => each.durationMs);
  const { median, high } = usualRange(past, toleranceOf(durationDeviation, DURATION_FLOOR));
  if (durationMs <= high) return [];
  return [
    {
      kind: 'duration',
      message: `the backup took ${formatDuration(durationMs)}, usual are ${formatDuration(median)}`,
      value: durationMs / 1000,
      expected: median / 1000,
    },
  ];
}

/** Undefined where most had nothing: nothing can be lost then, and any growth is a beginning. */
function rangeOf(values: readonly number[], deviation: number, floor: number): UsualRange | undefined {
  const range = usualRange(values, toleranceOf(deviation, floor));
  return range.median === 0 ? undefined : range;
}

function toleranceOf(percent: number, floor: number): Tolerance {
  return { deviation: percent / 100, floor };
}
