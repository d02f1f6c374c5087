import { orAbort } from '../abort.ts';
import { abortable } from '../bytes/abortable.ts';
import type { ByteStream } from '../bytes/stream.ts';
import type { DestinationDriver, ReadOptions } from './driver.ts';
import { StorageTurn } from './storage-turn.ts';

/** How long a storage may give no bytes before a reading of it has failed, in ms. */
const DEFAULT_STALL_MS = 5 * 60_000;

/**
 * Reads an object whole, and gives up on a storage that hangs: a driver need not know how to notice.
 * @throws BackupError `stalled`, `aborted`, or of the storage
 */
export async function* readSteadily(
  driver: DestinationDriver,
  path: string,
  options: { readonly signal: AbortSignal; readonly stallMs?: number },
): AsyncGenerator<Buffer, undefined> {
  const { signal, stallMs = DEFAULT_STALL_MS } = options;
  const turn = new StorageTurn({
    complaint: `${driver.describe()} gave nothing of ${path}`,
    stallMs,
    signal,
  });
  let isItsTurn = true;
  const onActivity = () => {
    if (isItsTurn) turn.begin();
  };
  try {
    turn.begin();
    const bytes = await open(driver, path, { signal: turn.signal, onActivity });
    for await (const chunk of abortable(bytes, turn.signal)) {
      isItsTurn = false;
      turn.over();
      yield chunk;
      isItsTurn = true;
      turn.begin();
    }
  } finally {
    turn.close();
  }
}

async function open(driver: DestinationDriver, path: string, reading: ReadOptions): Promise<ByteStream> {
  const opening = driver.read(path, reading);
  try {
    return await orAbort(opening, reading.signal);
  } catch (error) {
    // A stream that opens after all is ended: it may hold a file or a socket.
    opening.then((late) => late[Symbol.asyncIterator]().return?.()).catch(() => undefined);
    throw error;
  }
}
