import type { ScheduleView } from '../schedule/scheduler.ts';
import type { Verdict } from './check.ts';

/** A schedule looks at the clock once a minute at least. In ms. */
const SILENT_MS = 5 * 60_000;

/** What a schedule tells of itself. */
export interface ScheduleWatch {
  /** Undefined before it has looked at the clock for the first time. */
  readonly view: ScheduleView | undefined;
  /** When it last did, or else when its node started; ms since 1970. */
  readonly lookedAt: number;
  /** By how much the last fire was later than planned, in ms; those that were missed and made up for do not count. */
  readonly latenessMs: number | undefined;
}

/** Whether a schedule will fire. @param now ms since 1970 */
export function scheduleVerdict({ view, lookedAt }: ScheduleWatch, now: number): Verdict {
  if (now - lookedAt > SILENT_MS) {
    const minutes = Math.floor((now - lookedAt) / 60_000);
    return {
      state: 'fail',
      message: `It has not looked at the clock for ${minutes} minutes: restart DBackup`,
    };
  }
  if (view === undefined) return { state: 'ok', message: 'It is starting' };
  switch (view.state) {
    case 'failed':
      return { state: 'fail', message: view.error.message };
    case 'paused':
      return { state: 'ok', message: 'It is paused' };
    case 'queued':
      return { state: 'ok', message: `The fire of ${timeOf(view.at)} waits for an earlier one` };
    case 'waiting':
    case 'running':
    case 'skipped':
      return { state: 'ok', message: `It fires next at ${timeOf(view.next)}` };
  }
}

function timeOf(at: number): string {
  return new Date(at).toISOString();
}
