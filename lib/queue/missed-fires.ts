import type { Fire, SchedulePolicy } from '../schedule/scheduler.ts';

/** A fire that nobody was there to take is as good as missed after so long, in ms. */
const PATIENCE_MS = 10 * 60_000;

/** A process that takes fires. */
export interface Taking {
  readonly now: number;
  /** Since when it has been there to take them, in ms since 1970. */
  readonly since: number;
}

/**
 * Whether a shared fire comes too late to be begun. One that was held up while its taker was there, by what an earlier
 * one has started or by a process that died with it, was not missed: it waits as long as it has to.
 */
export function isMissed(
  { at }: Pick<Fire, 'at'>,
  { catchUpMs }: Pick<SchedulePolicy, 'catchUpMs'>,
  { now, since }: Taking,
): boolean {
  const patienceMs = Math.max(catchUpMs, PATIENCE_MS);
  return now - at > patienceMs && since - at > patienceMs;
}
