import { type Annotations, shortMessage } from './annotation-format.ts';

/** A set with this tag is as it should be, whatever was found; later ones are compared with it and those after it. */
export const NORMAL_TAG = 'normal';

/** Whether a set is unlike those before it, and nobody has said that it is as it should be. */
export function isSuspicious({ suspicious, tags }: Pick<Annotations, 'suspicious' | 'tags'>): boolean {
  return suspicious !== undefined && !tags.includes(NORMAL_TAG);
}

/** Notes what makes a set suspicious. Since when it is so does not change when it is found again. */
export function withSuspicion(current: Annotations, reason: string, at: Date): Annotations {
  const since = current.suspicious?.since ?? at.toISOString();
  return { ...current, suspicious: { since, reason: shortMessage(reason) } };
}

/** Takes back that a set is suspicious. */
export function withoutSuspicion(current: Annotations): Annotations {
  const { suspicious: _, ...others } = current;
  return others;
}
