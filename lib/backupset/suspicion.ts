import { type Annotations, MAX_SUSPICIONS, type Suspicion, shortMessage } from './annotation-format.ts';

/** A set with this tag is as it should be, whatever was found; later ones are compared with it and those after it. */
export const NORMAL_TAG = 'normal';

/** Whether a set is unlike those before it, and nobody has said that it is as it should be. */
export function isSuspicious({ suspicious, tags }: Pick<Annotations, 'suspicious' | 'tags'>): boolean {
  return suspicious !== undefined && !tags.includes(NORMAL_TAG);
}

/** Notes what makes a set suspicious to a guard. Since when it is so does not change when it is found again. */
export function withSuspicion(current: Annotations, guard: string, reason: string, at: Date): Annotations {
  const marks = marksOf(current);
  const found = { guard, since: at.toISOString(), reason: shortMessage(reason) };
  const isFirst = marks.every((mark) => mark.guard !== guard);
  const after = marks.map((mark) => (mark.guard === guard ? { ...mark, reason: found.reason } : mark));
  return withMarks(current, isFirst ? bounded([...after, found]) : after);
}

/** Takes back what made a set suspicious to a guard. What others have found, or nobody knows who, stays. */
export function withoutSuspicion(current: Annotations, guard: string): Annotations {
  return withMarks(
    current,
    marksOf(current).filter((mark) => mark.guard !== guard),
  );
}

/** A mark that is older than the names of guards is nobody's. */
function marksOf({ suspicious }: Annotations): readonly Suspicion[] {
  if (suspicious === undefined) return [];
  const { since, reason } = suspicious;
  return suspicious.marks ?? [{ since, reason }];
}

/** Those that are too many become one that is nobody's: what a guard has found must not get lost. */
function bounded(marks: readonly Suspicion[]): readonly Suspicion[] {
  const surplus = marks.length - MAX_SUSPICIONS;
  if (surplus <= 0) return marks;
  const merged = marks.slice(0, surplus + 1);
  return [{ since: earliestOf(merged), reason: reasonOf(merged) }, ...marks.slice(surplus + 1)];
}

function withMarks(current: Annotations, marks: readonly Suspicion[]): Annotations {
  const { suspicious, ...others } = current;
  if (marks.length === 0) return others;
  const since = earliestOf(marks);
  return { ...others, suspicious: { ...suspicious, since, reason: reasonOf(marks), marks: [...marks] } };
}

function earliestOf(marks: readonly Suspicion[]): string {
  return marks.map(({ since }) => since).reduce((earliest, since) => (since < earliest ? since : earliest));
}

function reasonOf(marks: readonly Suspicion[]): string {
  return shortMessage([...new Set(marks.map(({ reason }) => reason))].join('; '));
}
