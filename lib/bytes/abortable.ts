import { abortError, throwIfAborted } from '../errors.ts';
import { passReleases } from './release.ts';
import type { ByteStream } from './stream.ts';

/**
 * Passes `input` on, but stops waiting for it when the signal fires: the pending read then fails at once,
 * even if the input hangs, and the input is told to end without waiting for it.
 * @throws BackupError the signal's reason, `aborted` when it is not a BackupError
 */
export function abortable(input: ByteStream, signal: AbortSignal): ByteStream {
  return passReleases(input, readUntilAborted(input, signal));
}

async function* readUntilAborted(input: ByteStream, signal: AbortSignal): AsyncGenerator<Buffer> {
  throwIfAborted(signal);
  const iterator = input[Symbol.asyncIterator]();
  let rejectPending: ((error: Error) => void) | undefined;
  let settled = true;
  const onAbort = () => rejectPending?.(abortError(signal));
  // One promise per read: racing against a long-lived one would pile up reactions on it.
  const read = () =>
    new Promise<IteratorResult<Buffer>>((resolve, reject) => {
      throwIfAborted(signal);
      rejectPending = reject;
      settled = false;
      const finish = <T>(pass: (value: T) => void) => {
        return (value: T) => {
          settled = true;
          pass(value);
        };
      };
      iterator.next().then(finish(resolve), finish(reject));
    });

  signal.addEventListener('abort', onAbort);
  let exhausted = false;
  try {
    for (;;) {
      const next = await read();
      if (next.done === true) {
        exhausted = true;
        return;
      }
      yield next.value;
    }
  } finally {
    signal.removeEventListener('abort', onAbort);
    if (!exhausted) {
      const returned = Promise.resolve(iterator.return?.());
      if (settled) await returned;
      else returned.catch(() => undefined);
    }
  }
}
