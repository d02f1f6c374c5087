import { type Buckets, TIERS, type Tier } from './buckets.ts';
import { addDuration, type CalendarDuration } from './calendar-duration.ts';

/** Which sets of one job are kept: at least one rule is more than 0. Made with `policyOf`. */
export interface RetentionPolicy {
  /** The newest so many. */
  readonly last: number;
  /** All that are younger than the newest good one by less than this. */
  readonly within?: CalendarDuration;
  /** The newest of each of so many hours, days, weeks, months, years that have sets. */
  readonly tiers: Readonly<Record<Tier, number>>;
  /** Sets with one of these tags are kept. */
  readonly tags: readonly string[];
  readonly buckets: Buckets;
}

/**
 * How much a set is worth, from the best. `good`: complete, and nothing speaks against it. `suspicious`: complete, but
 * not as those before it. `partial`: some databases are missing. `bad`: it is known not to hold.
 */
export const QUALITIES = ['good', 'suspicious', 'partial', 'bad'] as const;
export type SetQuality = (typeof QUALITIES)[number];

/** A set, as far as the policy looks at it. */
export interface RetainedSet {
  /** Tells sets of the same time apart. */
  readonly path: string;
  /** When it was begun, in ms since 1970. */
  readonly at: number;
  readonly quality: SetQuality;
  readonly tags: readonly string[];
  /** Why it stays, whatever the policy says: it takes the place of no other then. */
  readonly excused?: Excuse;
}

export type Excuse =
  | { readonly rule: 'pinned' }
  /** Its annotations cannot be read: perhaps they say that it is pinned. */
  | { readonly rule: 'annotations'; readonly problem: string }
  /** Its run goes on. */
  | { readonly rule: 'busy' }
  /** Somebody gave its folder another name. */
  | { readonly rule: 'renamed'; readonly set: string };

/** Why a set is kept. */
export type Reason =
  | Excuse
  | { readonly rule: 'newest'; readonly quality: SetQuality }
  | { readonly rule: 'tag'; readonly tag: string }
  | { readonly rule: 'last'; readonly place: number; readonly count: number }
  | { readonly rule: 'within'; readonly duration: string }
  | { readonly rule: Tier; readonly bucket: string }
  /** No rule keeps it, but the storage does; until a person lifts that when there is no time. */
  | { readonly rule: 'locked'; readonly until?: string }
  /** No rule keeps it, but it could not be removed. */
  | { readonly rule: 'failed' }
  /** No rule keeps it, but an error has ended the pruning. */
  | { readonly rule: 'stopped' };

export interface Verdict<Set extends RetainedSet = RetainedSet> {
  readonly set: Set;
  /** Empty: no rule keeps it. */
  readonly reasons: readonly Reason[];
}

/**
 * Decides which sets of one job are kept, and why; newest first. The same sets give the same verdicts in any order, and
 * those that are kept are kept again when only they are left.
 *
 * Sets that are worth less take no place of better ones: the rules are applied to the good sets alone, then to the good
 * and suspicious ones together, then with the partial ones, then to all, and what is kept once is kept. The newest of
 * the best sets that there are always stays. Age counts from the newest set, not from today: while backups fail,
 * nothing grows too old.
 */
export function judge<Set extends RetainedSet>(
  sets: readonly Set[],
  policy: RetentionPolicy,
): Verdict<Set>[] {
  const sorted = sets.toSorted(newestFirst);
  const reasons = new Map<Set, readonly Reason[]>();
  for (const set of sorted) {
    const excuse = excuseOf(set, policy);
    if (excuse !== undefined) reasons.set(set, [excuse]);
  }
  const excused = new globalThis.Set(reasons.keys());
  const counted = sorted.filter(isCounted);
  for (const [rank, quality] of QUALITIES.entries()) {
    // Without a set of that quality the series is the one before.
    if (!counted.some((set) => set.quality === quality)) continue;
    const series = counted.filter((set) => QUALITIES.indexOf(set.quality) <= rank);
    const rules = applyRules(
      series.filter((set) => !excused.has(set)),
      series[0]?.at ?? 0,
      policy,
    );
    for (const [set, found] of rules) if (!reasons.has(set)) reasons.set(set, found);
  }
  const floor = floorOf(sorted);
  if (floor !== undefined) {
    const { quality } = floor;
    reasons.set(floor, [{ rule: 'newest', quality }, ...(reasons.get(floor) ?? [])]);
  }
  return sorted.map((set) => ({ set, reasons: reasons.get(set) ?? [] }));
}

export function isKept({ reasons }: Verdict): boolean {
  return reasons.length > 0;
}

/** The newest of the best sets that are done: as long as it is there, the job has a backup. */
export function floorOf<Set extends RetainedSet>(newestFirstSets: readonly Set[]): Set | undefined {
  const counted = newestFirstSets.filter(isCounted);
  for (const quality of QUALITIES) {
    const found = counted.find((set) => set.quality === quality);
    if (found !== undefined) return found;
  }
  return undefined;
}

/**
 * Nobody knows yet whether a set holds whose run goes on, nor what a person has in mind with a renamed one; and
 * annotations that cannot be read may say that the set is known bad.
 */
function isCounted({ excused }: RetainedSet): boolean {
  return excused === undefined || excused.rule === 'pinned';
}

function excuseOf(set: RetainedSet, { tags }: RetentionPolicy): Reason | undefined {
  if (set.excused !== undefined) return set.excused;
  const tag = set.tags.find((name) => tags.includes(name));
  return tag === undefined ? undefined : { rule: 'tag', tag };
}

/**
 * @param series newest first
 * @param newest when the newest set was begun, one that is excused included
 */
function applyRules<Set extends RetainedSet>(
  series: readonly Set[],
  newest: number,
  { last, within, tiers, buckets }: RetentionPolicy,
): Map<Set, readonly Reason[]> {
  const reasons = new Map<Set, Reason[]>();
  const keep = (set: Set, reason: Reason) => reasons.set(set, [...(reasons.get(set) ?? []), reason]);
  for (const [index, set] of series.slice(0, last).entries()) {
    keep(set, { rule: 'last', place: index + 1, count: last });
  }
  if (within !== undefined) {
    const since = addDuration(newest, within, buckets.zone, -1);
    for (const set of series) if (set.at > since) keep(set, { rule: 'within', duration: within.text });
  }
  for (const tier of TIERS) {
    let left = tiers[tier];
    let before: string | undefined;
    for (const set of series) {
      if (left === 0) break;
      const bucket = buckets.nameOf(tier, set.at);
      if (bucket === before) continue;
      before = bucket;
      left -= 1;
      keep(set, { rule: tier, bucket });
    }
  }
  return reasons;
}

function newestFirst(a: RetainedSet, b: RetainedSet): number {
  return b.at - a.at || (a.path < b.path ? 1 : a.path > b.path ? -1 : 0);
}
