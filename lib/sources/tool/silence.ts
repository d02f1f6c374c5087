/** How long a tool may write nothing although it is waited for, in ms: more than the largest catalogue takes. */
export const SILENCE_MS = 60 * 60_000;

/** Calls back when something that is waited for keeps silent too long. Holds a timer only while it waits. */
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
    this.#timer = setTimeout(this.#onSilence, this.#limitMs);
  }

  heard(): void {
    clearTimeout(this.#timer);
  }
}
