import type { Backoff } from '../../backoff.ts';

const LONGEST_MS = 20_000;

/** Between the attempts of one request. */
export const PAUSES: Backoff = { firstMs: 250, longestMs: LONGEST_MS };

/** The same for a server that asks to slow down. */
export const BUSY_PAUSES: Backoff = { firstMs: 1000, longestMs: LONGEST_MS };
