/** How long a tool may write nothing although it is waited for, in ms: more than the largest catalogue takes. */
export const SILENCE_MS = 60 * 60_000;

/** Node's timers cannot be longer, in ms. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * How long the tool of a dump may keep silent that waits for locks meanwhile, in ms.
 * @param lockSeconds how long it may wait for one; 0: for ever
 */
export function silenceWithLocks(lockSeconds: number, silenceMs = SILENCE_MS): number {
  return lockSeconds === 0 ? Number.POSITIVE_INFINITY : silenceMs + lockSeconds * 1000;
}

/**
 * Calls back when something that is waited for keeps silent too long; never when the limit is infinite. Holds a
 * timer only while it waits.
 */
export class SilenceWatch {
  readonly #limitMs: number;
  readonly #onSilence: () => void;
  #timer: NodeJS.Timeout | undefined;

  constructor(limitMs: number, onSilence: () => void) {
    this.#limitMs = limitMs;
    this.#onSilence = onSilence;
  }

  wait(): void {
    this.heard();
    // Node takes what does not fit for a millisecond.
    if (this.#limitMs > MAX_TIMER_MS) return;
    this.#timer = setTimeout(this.#onSilence, this.#limitMs);
  }

  heard(): void {
    clearTimeout(this.#timer);
  }
}
