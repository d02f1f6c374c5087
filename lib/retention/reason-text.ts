import { isKept, type Reason, type RetainedSet, type SetQuality, type Verdict } from './policy.ts';

const QUALITY: Readonly<Record<SetQuality, string>> = {
  good: 'good',
  suspicious: 'suspicious',
  partial: 'partial',
  bad: 'known bad',
};

/** A verdict in a line: `kept: daily 2026-11-12, weekly 2026-W46`, `removed: no rule keeps it`. */
export function verdictText(verdict: Verdict): string {
  const why = isKept(verdict) ? verdict.reasons.map(reasonText).join(', ') : 'no rule keeps it';
  return `${isKept(verdict) ? 'kept' : 'removed'}: ${why}${remark(verdict.set)}`;
}

/** What is worth less than others takes no place of them: a person should see why there are more. */
function remark({ quality }: RetainedSet): string {
  return quality === 'good' ? '' : ` (${QUALITY[quality]})`;
}

export function reasonText(reason: Reason): string {
  switch (reason.rule) {
    case 'pinned':
      return 'pinned';
    case 'annotations':
      return `taken for pinned, since its annotations cannot be read: ${reason.problem}`;
    case 'busy':
      return 'its run is under way';
    case 'renamed':
      return `its folder was renamed, it was ${reason.set}`;
    case 'newest':
      return reason.quality === 'good' ? 'newest good set' : 'newest set, there is no good one';
    case 'tag':
      return `tag ${reason.tag}`;
    case 'last':
      return `last ${reason.place} of ${reason.count}`;
    case 'within':
      return `within ${reason.duration}`;
    case 'locked':
      return reason.until === undefined
        ? 'locked until somebody lifts its legal hold'
        : `locked until ${reason.until}`;
    case 'failed':
      return 'it could not be removed';
    case 'stopped':
      return 'nothing is removed after an error';
    default:
      return `${reason.rule} ${reason.bucket}`;
  }
}
