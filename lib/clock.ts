/** Time, for everything that waits or compares it: tests drive one of their own. */
export interface Clock {
  /** Milliseconds since 1970 (UTC) by the clock of the host, which people and time servers may set. */
  now(): number;
  /**
   * Calls once, when the process has been running for that long, in ms and at most 2^31 - 1. The time that a
   * machine was suspended does not count, so that whoever waits for a moment has to look at `now` again.
   */
  setTimer(call: () => void, ms: number): ClockTimer;
}

export interface ClockTimer {
  /** Does nothing when it has called already. */
  cancel(): void;
}

/** The clock of this host. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer(call, ms) {
    const timer = setTimeout(call, ms);
    return { cancel: () => clearTimeout(timer) };
  },
};
