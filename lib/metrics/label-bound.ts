/** Stands for all values beyond those that are kept apart. */
export const OTHERS = 'others';

/** Keeps the number of values of a label finite: each one is a time series of its own, kept for ever. */
export class LabelBound {
  readonly #most: number;
  readonly #known = new Set<string>();

  constructor(most: number) {
    this.#most = most;
  }

  /** The value itself, or `others` when there are too many. */
  value(value: string): string {
    if (this.#known.has(value)) return value;
    if (this.#known.size >= this.#most) return OTHERS;
    this.#known.add(value);
    return value;
  }
}
