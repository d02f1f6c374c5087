import { BackupError } from '../lib/errors.ts';

const UNIT_MS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Longest time that a timer of Node takes, in ms: 24.8 days. */
const MAX_MS = 2 ** 31 - 1;

/**
 * Reads `90s`, `30m`, `6h`, `1d`.
 * @returns milliseconds
 * @throws BackupError `invalid-config`
 */
export function parseDuration(text: string): number {
  const ms = millisecondsOf(text);
  if (ms !== undefined && ms > 0 && ms <= MAX_MS) return ms;
  throw new BackupError(
    'invalid-config',
    `"${text}" is not a time that can be waited: write 90s, 30m, 6h or 1d (24 days at most)`,
  );
}

/**
 * Reads how old something must be: the same units, without a limit; `0s` is any age.
 * @returns milliseconds
 * @throws BackupError `invalid-config`
 */
export function parseAge(text: string): number {
  const ms = millisecondsOf(text);
  if (ms !== undefined && Number.isSafeInteger(Math.ceil(ms))) return ms;
  throw new BackupError('invalid-config', `"${text}" is not an age: write 90s, 30m, 24h or 7d`);
}

/**
 * Reads a moment: a date or time in ISO 8601 (`2026-01-31`, `2026-01-31T02:00Z`; UTC unless it says otherwise), or how
 * long ago it was, as for `parseAge`.
 * @throws BackupError `invalid-config`
 */
export function parseMoment(text: string, now: number): Date {
  const ago = millisecondsOf(text);
  const isDate = /^\d{4}-\d\d-\d\d/.test(text.trim());
  const inZone = /T[^Z+-]*$/.test(text.trim()) ? `${text.trim()}Z` : text.trim();
  const moment = new Date(ago === undefined ? (isDate ? inZone : Number.NaN) : now - ago);
  if (!Number.isNaN(moment.getTime())) return moment;
  throw new BackupError(
    'invalid-config',
    `"${text}" is not a moment: write 24h or 7d (ago), 2026-01-31 or 2026-01-31T02:00Z`,
  );
}

function millisecondsOf(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(s|m|h|d)$/.exec(text.trim());
  return match === null ? undefined : Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
}
