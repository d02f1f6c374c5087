import type { Annotations } from '../backupset/annotation-format.ts';
import type { BackupSet } from '../backupset/reader.ts';
import { isAsDeep, type VerifyLevel } from '../backupset/verify-levels.ts';

/** Which sets of a job are looked at. */
export type Sample =
  | { readonly which: 'latest' | 'all' }
  /** One of the latest so many, by chance. */
  | { readonly which: 'random'; readonly last: number }
  /** The one that was looked at as deeply the longest time ago, or never: the oldest of these. */
  | { readonly which: 'unverified' };

export interface SampledSet {
  readonly set: BackupSet;
  /** Needed to tell which are `unverified`. */
  readonly annotations?: Annotations;
}

/**
 * Chooses sets to verify.
 * @param sets the newest first
 * @param level of the verification that they are chosen for
 * @param random at least 0, less than 1
 */
export function sampleSets(
  sets: readonly SampledSet[],
  sample: Sample,
  level: VerifyLevel,
  random: () => number = Math.random,
): BackupSet[] {
  switch (sample.which) {
    case 'latest':
      return sets.slice(0, 1).map(({ set }) => set);
    case 'all':
      return sets.map(({ set }) => set);
    case 'random': {
      const latest = sets.slice(0, sample.last);
      return latest
        .slice(Math.floor(random() * latest.length))
        .slice(0, 1)
        .map(({ set }) => set);
    }
    case 'unverified':
      return sets
        .toReversed()
        .toSorted((a, b) => lastLook(a, level).localeCompare(lastLook(b, level)))
        .slice(0, 1)
        .map(({ set }) => set);
  }
}

/** When it was last looked at so deeply; whatever was found. Empty: never. */
function lastLook({ annotations }: SampledSet, level: VerifyLevel): string {
  return annotations?.verifications.findLast((each) => isAsDeep(each.level, level))?.at ?? '';
}
