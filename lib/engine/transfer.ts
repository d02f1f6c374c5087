import { orAbort } from '../abort.ts';
import type { ByteStream } from '../bytes/stream.ts';
import { throttle } from '../bytes/throttle.ts';
import type { PendingObject } from '../destinations/driver.ts';
import { BackupError } from '../errors.ts';
import type { DestinationBinding } from '../plan/bindings.ts';

export interface TransferRequest {
  readonly binding: DestinationBinding;
  readonly path: string;
  readonly input: ByteStream;
  readonly expectedBytes?: number | undefined;
  readonly signal: AbortSignal;
  /** A storage that takes nothing for so long, while it is its turn, has failed. */
  readonly stallMs: number;
  onBytes?(total: number): void;
}

/**
 * Hands a stream to a destination and proves that it took all of it: the bytes that the storage reports
 * are the bytes that were handed over, to the end. Nothing is visible before the result's commit.
 * @throws BackupError of the stream or the storage; `stalled` when the storage hangs. Nothing is left then.
 */
export async function transfer(request: TransferRequest): Promise<PendingObject> {
  const { binding } = request;
  const turn = new StorageTurn(binding.label, request.stallMs);
  const signal = AbortSignal.any([request.signal, turn.signal]);
  const limited =
    binding.bytesPerSecond === undefined
      ? request.input
      : throttle(request.input, binding.bytesPerSecond, request.signal);
  const handed = new HandedBytes(limited, turn, request.onBytes);
  const writing = binding.driver.write(request.path, handed, {
    signal,
    ...(request.expectedBytes === undefined ? {} : { expectedBytes: request.expectedBytes }),
  });
  try {
    const pending = await orAbort(writing, signal);
    await refuseIncomplete(pending, handed, request);
    return pending;
  } catch (error) {
    abandon(writing);
    throw error;
  } finally {
    turn.over();
  }
}

/** Commits within the stall limit: a storage that does not acknowledge has not committed. */
export async function commit(pending: PendingObject, label: string, stallMs: number): Promise<void> {
  const turn = new StorageTurn(label, stallMs);
  turn.begin();
  try {
    await orAbort(pending.commit(), turn.signal);
  } finally {
    turn.over();
  }
}

async function refuseIncomplete(
  pending: PendingObject,
  handed: HandedBytes,
  request: TransferRequest,
): Promise<void> {
  if (handed.ended && pending.bytes === handed.bytes) return;
  await pending.abort();
  throw new BackupError(
    'incomplete',
    `${request.binding.label} holds ${pending.bytes} of ${handed.bytes} bytes of ${request.path}`,
    { transient: true },
  );
}

/** A write that lost its race against an abort may still succeed later: then its object goes too. */
function abandon(writing: Promise<PendingObject>): void {
  writing.then((pending) => pending.abort()).catch(() => undefined);
}

/** Measures how long the storage keeps us waiting; the time in which we keep it waiting does not count. */
class StorageTurn {
  readonly #controller = new AbortController();
  readonly #label: string;
  readonly #stallMs: number;
  #timer: NodeJS.Timeout | undefined;

  constructor(label: string, stallMs: number) {
    this.#label = label;
    this.#stallMs = stallMs;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  begin(): void {
    if (this.#timer !== undefined) {
      this.#timer.refresh();
      return;
    }
    this.#timer = setTimeout(() => {
      const seconds = Math.round(this.#stallMs / 1000);
      this.#controller.abort(
        new BackupError('stalled', `${this.#label} took no data for ${seconds} s: the storage hangs`, {
          transient: true,
        }),
      );
    }, this.#stallMs);
  }

  over(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}

/** Counts what the storage takes, and tells its turns from ours. */
class HandedBytes implements ByteStream {
  bytes = 0;
  ended = false;
  readonly #input: ByteStream;
  readonly #turn: StorageTurn;
  readonly #onBytes: ((total: number) => void) | undefined;

  constructor(input: ByteStream, turn: StorageTurn, onBytes: ((total: number) => void) | undefined) {
    this.#input = input;
    this.#turn = turn;
    this.#onBytes = onBytes;
    turn.begin();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, undefined> {
    this.#turn.over();
    for await (const chunk of this.#input) {
      this.#turn.begin();
      this.bytes += chunk.length;
      yield chunk;
      this.#onBytes?.(this.bytes);
      this.#turn.over();
    }
    this.ended = true;
    this.#turn.begin();
  }
}
