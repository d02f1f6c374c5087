import type { Clock, ClockTimer } from '../clock.ts';

/** Shortest time between two that pass, in ms. */
const EVERY_MS = 1000;

/** Lets at most one thing a second pass, and always the last one. */
export class ProgressGate<T> {
  readonly #clock: Clock;
  readonly #pass: (value: T) => void;
  #waiting: { value: T } | undefined;
  #timer: ClockTimer | undefined;
  #closed = false;

  constructor(clock: Clock, pass: (value: T) => void) {
    this.#clock = clock;
    this.#pass = pass;
  }

  offer(value: T): void {
    if (this.#closed) return;
    if (this.#timer !== undefined) {
      this.#waiting = { value };
      return;
    }
    this.#timer = this.#clock.setTimer(() => this.#open(), EVERY_MS);
    this.#pass(value);
  }

  /** Nothing passes any more. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#waiting = undefined;
  }

  #open(): void {
    this.#timer = undefined;
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting !== undefined) this.offer(waiting.value);
  }
}
