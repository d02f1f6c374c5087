import type { Clock, ClockTimer } from '../../lib/clock.ts';

interface Waiting {
  readonly at: number;
  readonly call: () => void;
}

/** A clock that stands still until a test lets time pass. */
export class FakeClock implements Clock {
  /** How long the process has been running, in ms. */
  #running = 0;
  /** What the clock shows when the process has just begun. */
  #start: number;
  #timers: Waiting[] = [];

  constructor(start: string | number) {
    this.#start = new Date(start).getTime();
  }

  now(): number {
    return this.#start + this.#running;
  }

  /** What it shows now, for people. */
  get text(): string {
    return new Date(this.now()).toISOString();
  }

  setTimer(call: () => void, ms: number): ClockTimer {
    if (!(ms >= 0 && ms < 2 ** 31)) throw new Error(`A timer cannot wait ${ms} ms`);
    const waiting = { at: this.#running + ms, call };
    this.#timers.push(waiting);
    return { cancel: () => (this.#timers = this.#timers.filter((timer) => timer !== waiting)) };
  }

  /** Timers that wait. */
  get waiting(): number {
    return this.#timers.length;
  }

  /** Somebody sets the clock, or the machine was suspended: no time of the process passes. */
  set(time: string | number): void {
    this.#start = new Date(time).getTime() - this.#running;
  }

  /** Lets time pass until the clock shows that. */
  async until(time: string | number): Promise<void> {
    await this.pass(new Date(time).getTime() - this.now());
  }

  /** Lets time pass; what timers begin is done, as far as it waits for nothing outside, before it passes on. */
  async pass(ms: number): Promise<void> {
    const end = this.#running + ms;
    await turn();
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#timers = this.#timers.filter((timer) => timer !== next);
      this.#running = Math.max(this.#running, next.at);
      next.call();
      await turn();
    }
    this.#running = end;
  }

  #next(end: number): Waiting | undefined {
    let first: Waiting | undefined;
    for (const timer of this.#timers) {
      if (timer.at <= end && (first === undefined || timer.at < first.at)) first = timer;
    }
    return first;
  }
}

/** All that has been resolved by now goes on. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
