import { orAbort, settled } from '../abort.ts';
import type { ByteStream } from '../bytes/stream.ts';
import { type RateLimit, throttle } from '../bytes/throttle.ts';
import type { PendingObject, WriteOptions } from '../destinations/driver.ts';
import { StorageTurn } from '../destinations/storage-turn.ts';
import { BackupError } from '../errors.ts';
import type { DestinationBinding } from '../plan/bindings.ts';

/** What is waited for when a storage has all bytes and writes them through, as a multiple of the stall limit. */
const FLUSH_PATIENCE = 3;
/** How long the clean-up of a failed transfer may take before we go on without it, in ms. */
const CLEAN_UP_MS = 5_000;

export interface TransferRequest {
  readonly binding: DestinationBinding;
  readonly path: string;
  readonly input: ByteStream;
  /** Upper bound of the rate, which transfers to the same destination share. */
  readonly rate: RateLimit | undefined;
  readonly expectedBytes?: number | undefined;
  /** What has that name may be replaced. */
  readonly replace?: boolean;
  readonly signal: AbortSignal;
  /** A storage that takes nothing for so long, while it is its turn, has failed. In ms. */
  readonly stallMs: number;
  onBytes?(total: number): void;
  /** The transfer is lost: called at once, while the storage's clean-up may still be under way. */
  onLost?(): void;
}

/**
 * Hands a stream to a destination and proves that it took all of it: the bytes that the storage reports
 * are the bytes that were handed over, to the end. Nothing is visible before the result's commit.
 * @throws BackupError of the stream or the storage; `stalled` when the storage hangs. Nothing is left then,
 *   unless the storage takes longer than some seconds to clean up.
 */
export async function transfer(request: TransferRequest): Promise<PendingObject> {
  const { binding, signal, stallMs } = request;
  const turn = new StorageTurn({ complaint: `${binding.label} took no data`, stallMs, signal });
  const handed = new HandedBytes(limited(request), turn, request.onBytes);
  // A storage that stages what it is given sends it on after the end: that may take hours, but never stands still.
  const onActivity = () => {
    if (handed.ended) turn.begin(FLUSH_PATIENCE);
  };
  const writing = write(request, handed, { signal: turn.signal, onActivity });
  try {
    const pending = await orAbort(writing, turn.signal);
    if (handed.ended && pending.bytes === handed.bytes) return pending;
    throw new BackupError(
      'incomplete',
      `${binding.label} holds ${pending.bytes} of ${handed.bytes} bytes of ${request.path}`,
      { transient: true },
    );
  } catch (error) {
    request.onLost?.();
    handed.end();
    await settled(
      writing.then((pending) => pending.abort()),
      CLEAN_UP_MS,
    );
    throw error;
  } finally {
    turn.close();
  }
}

function limited({ rate, input, signal }: TransferRequest): ByteStream {
  return rate === undefined ? input : throttle(input, rate, signal);
}

/** A driver that throws instead of rejecting must not leave a turn behind. */
async function write(
  { binding, path, expectedBytes, replace }: TransferRequest,
  input: ByteStream,
  waiting: Pick<WriteOptions, 'signal' | 'onActivity'>,
): Promise<PendingObject> {
  return binding.driver.write(path, input, {
    ...waiting,
    ...(expectedBytes === undefined ? {} : { expectedBytes }),
    ...(replace === true ? { replace } : {}),
  });
}

/** Counts what the storage takes, and tells its turns from ours. Iterable once. */
class HandedBytes implements ByteStream {
  bytes = 0;
  ended = false;
  readonly #input: ByteStream;
  readonly #turn: StorageTurn;
  readonly #onBytes: ((total: number) => void) | undefined;
  readonly #reading: AsyncGenerator<Buffer, undefined>;

  constructor(input: ByteStream, turn: StorageTurn, onBytes: ((total: number) => void) | undefined) {
    this.#input = input;
    this.#turn = turn;
    this.#onBytes = onBytes;
    this.#reading = this.#read();
    turn.begin();
  }

  release(chunk: Buffer): void {
    this.#input.release?.(chunk);
  }

  [Symbol.asyncIterator](): AsyncGenerator<Buffer, undefined> {
    return this.#reading;
  }

  /** For a storage that hangs and never ends what it reads. Not awaited: the input may hang as well. */
  end(): void {
    this.#reading.return(undefined).catch(() => undefined);
  }

  async *#read(): AsyncGenerator<Buffer, undefined> {
    this.#turn.over();
    try {
      for await (const chunk of this.#input) {
        this.#turn.begin();
        this.bytes += chunk.length;
        yield chunk;
        this.#onBytes?.(this.bytes);
        this.#turn.over();
      }
      this.ended = true;
    } finally {
      this.#turn.begin(FLUSH_PATIENCE);
    }
  }
}
