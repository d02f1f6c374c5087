import { setTimeout as wait } from 'node:timers/promises';
import { toBackupError } from '../errors.ts';

/** How long a clean-up may go on after its caller has given up waiting, in ms. */
const CLEAN_UP_MS = 60_000;

/** Where one object is being written: under a hidden name beside its own. */
export interface WritePlace<Storage> {
  readonly storage: Storage;
  readonly path: string;
  /** Its names below the storage's folder, as the server has them. */
  readonly names: readonly string[];
  /** The same with the hidden name that it has until it is committed. */
  readonly temporary: readonly string[];
}

/**
 * Removes what an unfinished write left; tries again while the server cannot be reached. What stays is swept later.
 * @param remove one try
 * @param pausesMs pauses after each try, in ms; the last one again and again
 */
export async function cleanUp(
  remove: (signal: AbortSignal) => Promise<void>,
  pausesMs: readonly number[],
): Promise<void> {
  const signal = AbortSignal.timeout(CLEAN_UP_MS);
  for (let attempt = 0; ; attempt += 1) {
    try {
      await remove(signal);
      return;
    } catch (error) {
      if (!toBackupError(error).transient) throw error;
      await wait(pausesMs[attempt] ?? pausesMs.at(-1), undefined, { signal, ref: false });
    }
  }
}
