/** Nobody is waited for any longer, in ms. */
export const LONGEST_RETRY_AFTER_MS = 120_000;

/**
 * Reads the header `Retry-After` (RFC 9110, section 10.2.3): seconds, or the date when to come back.
 * @returns ms, at most `LONGEST_RETRY_AFTER_MS`; undefined when there is none, or it is none
 */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  const text = value?.trim() ?? '';
  if (text === '') return undefined;
  if (/^\d+(\.\d+)?$/.test(text)) return capped(Number(text) * 1000);
  const at = /^[A-Z][a-z]{2}/.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(at) ? undefined : capped(at - now);
}

/** The same for services that tell seconds in the body of an answer. */
export function retryAfterSeconds(seconds: unknown): number | undefined {
  return typeof seconds === 'number' && Number.isFinite(seconds) ? capped(seconds * 1000) : undefined;
}

function capped(ms: number): number {
  return Math.min(Math.max(0, ms), LONGEST_RETRY_AFTER_MS);
}
