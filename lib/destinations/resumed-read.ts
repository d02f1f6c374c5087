import { throwIfAborted, toBackupError } from '../errors.ts';

/** How often in a row a reading that broke is taken up again without having got anything. */
const ATTEMPTS = 3;

/** How the rest of an object is got. */
export interface Rest {
  /** Exclusive. It may change when the object is looked at again. */
  end(): number;
  /**
   * Asks for the bytes from `position` to the end.
   * @param isAgain after a failure: nothing of an object may be added to what was given of another one
   */
  from(position: number, isAgain: boolean): AsyncGenerator<Buffer, void>;
}

/**
 * One pass over a part of an object; a connection that breaks is replaced, and the rest is asked for.
 * @throws BackupError
 */
export async function* resumedRead(
  start: number,
  rest: Rest,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  let position = start;
  let failures = 0;
  while (position < rest.end()) {
    try {
      for await (const chunk of rest.from(position, failures > 0)) {
        position += chunk.length;
        failures = 0;
        yield chunk;
      }
    } catch (error) {
      throwIfAborted(signal);
      failures += 1;
      if (!toBackupError(error).transient || failures === ATTEMPTS) throw error;
    }
  }
}
