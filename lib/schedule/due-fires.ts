import { jitterOf } from './jitter.ts';
import type { Timetable } from './timetable.ts';

/** Missed fires are counted up to here. */
const COUNT_AT_MOST = 1000;

/**
 * The fires of one schedule with their jitter. A fire is known by the instant that it is planned for, `at`; it is due
 * a little later. All are milliseconds since 1970.
 */
export class DueFires {
  readonly timetable: Timetable;
  readonly #schedule: string;
  readonly #jitterMs: number;

  constructor(schedule: string, timetable: Timetable, jitterMs: number) {
    this.#schedule = schedule;
    this.timetable = timetable;
    this.#jitterMs = jitterMs;
  }

  /** When the fire that is planned for `at` is due. */
  dueAt(at: number): number {
    return at + jitterOf(this.#schedule, at, this.#jitterMs, this.timetable);
  }

  /** The first fire after `handled`. */
  next(handled: number): number {
    return this.timetable.next(handled);
  }

  /** The last fire after `handled` that is due by now. */
  lastDue(handled: number, now: number): number | undefined {
    const last = this.timetable.last(handled, now);
    if (last === undefined || this.dueAt(last) <= now) return last;
    // A fire is due before the next one is planned, so that only the last one can be still to come.
    return this.timetable.last(handled, last - 1);
  }

  /** How many fires there were after `handled` and before `at`: 1000 stands for that many or more. */
  missedBefore(handled: number, at: number): number {
    return this.timetable.count(handled, at - 1, COUNT_AT_MOST);
  }
}
