import { availableParallelism } from 'node:os';
import { throwIfAborted } from '../errors.ts';

/** Threads of libuv's pool unless UV_THREADPOOL_SIZE says otherwise. */
const DEFAULT_POOL_THREADS = 4;
/** More cores than that would compress faster than any source delivers, and cost memory for each block. */
const MOST_THREADS = 16;

/**
 * How many blocks keep all cores busy when each is one task of libuv's thread pool: as many as can run,
 * and two that are being read and consumed meanwhile.
 */
export function parallelBlocks(): number {
  const threads = Number(process.env.UV_THREADPOOL_SIZE) || DEFAULT_POOL_THREADS;
  return Math.min(threads, availableParallelism(), MOST_THREADS) + 2;
}

export interface ParallelOptions {
  /** Items that are worked on, or done and waiting for their turn, at the same time. */
  readonly inFlight: number;
  readonly signal: AbortSignal;
}

/**
 * Works on up to `inFlight` items at once and yields the results in the order of the items. Starts at the
 * first pull, then reads ahead on its own, so that reading, working and consuming overlap. An error of the
 * input or of the work comes in its turn, after the results before it. Ending it early ends the input;
 * work that is then under way is left to finish and its outcome is dropped.
 */
export async function* mapOrdered<Item, Result>(
  input: AsyncIterable<Item>,
  work: (item: Item) => Promise<Result>,
  options: ParallelOptions,
): AsyncGenerator<Result> {
  throwIfAborted(options.signal);
  const reader = new ReadAhead(input, work, options.inFlight);
  try {
    for (;;) {
      const result = await reader.next();
      throwIfAborted(options.signal);
      if (result === undefined) return;
      yield result.value;
    }
  } finally {
    await reader.close();
  }
}

class ReadAhead<Item, Result> {
  readonly #iterator: AsyncIterator<Item>;
  readonly #work: (item: Item) => Promise<Result>;
  readonly #limit: number;
  readonly #queue: Promise<Result>[] = [];
  #exhausted = false;
  #closed = false;
  #reading = false;
  #wake: (() => void) | undefined;

  constructor(input: AsyncIterable<Item>, work: (item: Item) => Promise<Result>, limit: number) {
    this.#iterator = input[Symbol.asyncIterator]();
    this.#work = work;
    this.#limit = limit;
  }

  async next(): Promise<{ readonly value: Result } | undefined> {
    this.#fill();
    while (this.#queue.length === 0) {
      if (this.#exhausted) return undefined;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const value = await (this.#queue[0] as Promise<Result>);
    this.#queue.shift();
    this.#fill();
    return { value };
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (!this.#exhausted) await this.#iterator.return?.();
  }

  #fill(): void {
    if (this.#reading || this.#exhausted || this.#closed) return;
    this.#reading = true;
    // Never rejects: an error of the input becomes the last entry of the queue.
    void this.#read().then(() => {
      this.#reading = false;
      this.#wake?.();
    });
  }

  async #read(): Promise<void> {
    try {
      while (this.#queue.length < this.#limit && !this.#closed) {
        const next = await this.#iterator.next();
        if (next.done === true) {
          this.#exhausted = true;
          return;
        }
        if (this.#closed) return;
        this.#push(this.#start(next.value));
      }
    } catch (error) {
      this.#exhausted = true;
      this.#push(Promise.reject(error));
    }
  }

  /** As a promise in any case, even if the work throws at once. */
  async #start(item: Item): Promise<Result> {
    return this.#work(item);
  }

  #push(result: Promise<Result>): void {
    // Handled here, because it may reject long before its turn comes, or after nobody waits any more.
    result.catch(() => undefined);
    this.#queue.push(result);
    this.#wake?.();
  }
}
