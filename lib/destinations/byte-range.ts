import { BackupError } from '../errors.ts';
import type { ReadOptions } from './driver.ts';

/** A part of an object. */
export interface ByteRange {
  readonly start: number;
  /** Exclusive. */
  readonly end: number;
}

/**
 * The part that is wanted of an object, without what lies behind its end.
 * @param bytes the size of the object
 * @throws BackupError `invalid-config` when it does not begin in the object
 */
export function checkedRange(path: string, bytes: number, range: ReadOptions['range']): ByteRange {
  const { start, end = bytes } = range ?? { start: 0 };
  const whole = Number.isSafeInteger(start) && Number.isSafeInteger(end);
  if (whole && start >= 0 && start <= bytes && end >= start) return { start, end: Math.min(end, bytes) };
  throw new BackupError(
    'invalid-config',
    `Bytes ${start} to ${end} of ${path} cannot be read: it has ${bytes}`,
  );
}
