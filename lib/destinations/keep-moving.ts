import { orAbort } from '../abort.ts';
import type { ByteStream } from '../bytes/stream.ts';

/** Bytes that are held back for slow times: at one byte every 15 s enough for 17 hours. */
const RESERVE_BYTES = 4096;
/** Well below the shortest limit that servers have by default for a connection on which nothing comes (60 s). */
const LONGEST_PAUSE_MS = 15_000;

const LATE = Symbol('late');

/**
 * Passes a stream on so that it does not stand still once it has begun: it holds its latest bytes back, and
 * while the producer pauses it gives them one by one. Servers end an upload on which nothing comes for some
 * minutes, and a slow dump can pause for longer. Nothing comes out before there is more than the reserve, so
 * that an upload is not begun in vain.
 */
export function keepMoving(
  input: ByteStream,
  signal: AbortSignal,
  longestPauseMs: number = LONGEST_PAUSE_MS,
): MovingStream {
  return new MovingStream(input, signal, longestPauseMs);
}

/** A stream that is its own iterator; `return` reaches the producer at once, even while it is awaited. */
export class MovingStream implements Required<ByteStream>, AsyncIterator<Buffer, undefined> {
  readonly #input: ByteStream;
  readonly #iterator: AsyncIterator<Buffer>;
  readonly #signal: AbortSignal;
  readonly #longestPauseMs: number;
  /** What is to be yielded next. */
  readonly #ready: Buffer[] = [];
  /** The chunks of the input whose beginning was yielded, by that beginning. */
  readonly #whole = new WeakMap<Buffer, Buffer>();
  #reserve: Buffer = Buffer.alloc(0);
  #pending: Promise<IteratorResult<Buffer>> | undefined;
  #begun = false;
  #ended = false;

  constructor(input: ByteStream, signal: AbortSignal, longestPauseMs: number) {
    this.#input = input;
    this.#iterator = input[Symbol.asyncIterator]();
    this.#signal = signal;
    this.#longestPauseMs = longestPauseMs;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Buffer, undefined>> {
    for (;;) {
      const ready = this.#ready.shift();
      if (ready !== undefined) {
        this.#begun = true;
        return { done: false, value: ready };
      }
      if (this.#ended) return { done: true, value: undefined };
      const next = await this.#awaitInput();
      if (next === LATE) this.#ready.push(this.#takeReserve(1));
      else if (next.done === true) this.#end();
      else this.#hold(next.value);
    }
  }

  async return(): Promise<IteratorResult<Buffer, undefined>> {
    this.#ended = true;
    this.#ready.length = 0;
    const returned = Promise.resolve(this.#iterator.return?.());
    // Not awaited while the producer is busy: it may hang.
    if (this.#pending === undefined) await returned;
    else returned.catch(() => undefined);
    return { done: true, value: undefined };
  }

  release(chunk: Buffer): void {
    const whole = this.#whole.get(chunk);
    if (whole === undefined) return;
    this.#whole.delete(chunk);
    this.#input.release?.(whole);
  }

  async #awaitInput(): Promise<IteratorResult<Buffer> | typeof LATE> {
    if (this.#pending === undefined) {
      this.#pending = this.#iterator.next();
      this.#pending.catch(() => undefined);
    }
    const mayBeLate = this.#begun && this.#reserve.length > 0;
    const waiting = mayBeLate ? orLate(this.#pending, this.#longestPauseMs) : this.#pending;
    const next = await orAbort(waiting, this.#signal);
    if (next !== LATE) this.#pending = undefined;
    return next;
  }

  #hold(chunk: Buffer): void {
    if (chunk.length <= RESERVE_BYTES) {
      this.#reserve = Buffer.concat([this.#reserve, chunk]);
      this.#input.release?.(chunk);
      const surplus = this.#reserve.length - RESERVE_BYTES;
      if (surplus > 0) this.#ready.push(this.#takeReserve(surplus));
      return;
    }
    if (this.#reserve.length > 0) this.#ready.push(this.#reserve);
    const head = chunk.subarray(0, -RESERVE_BYTES);
    this.#reserve = Buffer.from(chunk.subarray(-RESERVE_BYTES));
    this.#whole.set(head, chunk);
    this.#ready.push(head);
  }

  #takeReserve(bytes: number): Buffer {
    const taken = this.#reserve.subarray(0, bytes);
    this.#reserve = this.#reserve.subarray(bytes);
    return taken;
  }

  #end(): void {
    this.#ended = true;
    if (this.#reserve.length > 0) this.#ready.push(this.#takeReserve(this.#reserve.length));
  }
}

async function orLate<T>(work: Promise<T>, afterMs: number): Promise<T | typeof LATE> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(() => resolve(LATE), afterMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
