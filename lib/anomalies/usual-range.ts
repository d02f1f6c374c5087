/** A median absolute deviation times this estimates the standard deviation of a normal distribution. */
const MAD_SCALE = 1.4826;
/** What is further from the median than so many of these deviations is unusual. */
const SPREADS = 4;
/** A loss of more than this share is never usual, however much the values vary. */
const LARGEST_LOSS = 0.9;

/** How much a value may differ before it is unusual. */
export interface Tolerance {
  /** Share of the median that is always usual: 0.3 for 30 %. */
  readonly deviation: number;
  /** Difference that is always usual, in the unit of the values. */
  readonly floor: number;
}

/** Which values are usual, both ends included. */
export interface UsualRange {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/**
 * The values that are usual after these: around their median, as wide as they themselves vary (by their median absolute
 * deviation, which a few outliers do not move), and at least as wide as the tolerance. So values that never change do
 * not make the smallest change unusual.
 * @param values at least one, none of them negative
 */
export function usualRange(values: readonly number[], { deviation, floor }: Tolerance): UsualRange {
  const median = medianOf(values);
  const spread = MAD_SCALE * medianOf(values.map((value) => Math.abs(value - median)));
  const width = Math.max(SPREADS * spread, deviation * median, floor);
  const leastLeft = Math.min(median * (1 - LARGEST_LOSS), median - floor);
  return { median, low: Math.max(median - width, leastLeft, 0), high: median + width };
}

export function isUsual(value: number, { low, high }: UsualRange): boolean {
  return value >= low && value <= high;
}

/** The middle one, or the mean of the two in the middle. */
export function medianOf(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? 0) + upper) / 2;
}
