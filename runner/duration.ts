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
  const match = /^(\d+(?:\.\d+)?)(s|m|h|d)$/.exec(text.trim());
  const ms = match === null ? 0 : Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
  if (ms > 0 && ms <= MAX_MS) return ms;
  throw new BackupError(
    'invalid-config',
    `"${text}" is not a time that can be waited: write 90s, 30m, 6h or 1d (24 days at most)`,
  );
}
