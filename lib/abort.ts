import { abortError } from './errors.ts';

/**
 * Waits for `work`, but no longer than until the signal aborts. The work itself goes on: use it where
 * its late result needs no closing. A late rejection is swallowed.
 * @throws BackupError the signal's reason, when it aborts first
 */
export function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = () => reject(abortError(signal));
    const leave = () => signal.removeEventListener('abort', stop);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    work.then(
      (value) => {
        leave();
        resolve(value);
      },
      (error: unknown) => {
        leave();
        reject(error);
      },
    );
  });
}

/**
 * Waits for `work`, at most that long. The work itself goes on, and its late rejection is swallowed.
 * @throws what `late` makes, when the time is over first
 */
export function orTimeout<T>(work: Promise<T>, atMostMs: number, late: () => Error): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => reject(late()), atMostMs);
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/** Waits until `work` settles either way, at most that long. For clean-ups that may hang with their disk. */
export async function settled(work: Promise<unknown>, atMostMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, atMostMs);
  });
  await Promise.race([work.then(ignore, ignore), limit]);
  clearTimeout(timer);
}

function ignore(): void {}
