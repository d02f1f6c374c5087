import type { Clock, ClockTimer } from '../../lib/clock.ts';

/**
 * A clock on which pauses pass at once, and are recorded. Only timers of exactly `patienceMs`, the limit of an attempt,
 * are real, so that what they limit can take place.
 */
export class HurriedClock implements Clock {
  readonly pauses: number[] = [];
  readonly #patienceMs: number;
  #now = Date.parse('2026-11-23T10:00:00Z');

  constructor(patienceMs: number) {
    this.#patienceMs = patienceMs;
  }

  now(): number {
    return this.#now;
  }

  setTimer(call: () => void, ms: number): ClockTimer {
    if (ms === this.#patienceMs) {
      const timer = setTimeout(call, ms);
      return { cancel: () => clearTimeout(timer) };
    }
    this.pauses.push(ms);
    const soon = setImmediate(() => {
      this.#now += ms;
      call();
    });
    return { cancel: () => clearImmediate(soon) };
  }
}
