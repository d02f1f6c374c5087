import type { ByteStream } from '../bytes/stream.ts';
import { abortError, BackupError } from '../errors.ts';

/** Bytes that one output may lag behind before it holds the others back. */
const QUEUE_BYTES = 4 * 1024 * 1024;

/** Ends the pump when nobody listens any more; never leaves this file. */
const ALL_DROPPED = Symbol('all outputs dropped');

/**
 * One input, several outputs, one pass: every output sees every byte, the slowest one sets the pace,
 * and an output that ends early (its consumer failed) no longer counts. When none is left, the input
 * is ended. Chunks are shared between outputs and must not be written to.
 */
export class Fanout {
  readonly outputs: readonly FanoutOutput[];
  readonly #input: ByteStream;
  readonly #signal: AbortSignal;
  /** Outputs that still want bytes. */
  #open: number;
  #interrupt: ((reason: unknown) => void) | undefined;

  constructor(input: ByteStream, count: number, signal: AbortSignal) {
    this.#input = input;
    this.#signal = signal;
    this.#open = count;
    // What several outputs share, none of them may give back.
    const release = count === 1 ? (chunk: Buffer) => input.release?.(chunk) : undefined;
    this.outputs = Array.from({ length: count }, () => new FanoutOutput(() => this.#onDrop(), release));
  }

  /** Moves the bytes; resolves when the input or the last output has ended. Never rejects: outputs throw. */
  async run(): Promise<void> {
    const iterator = this.#input[Symbol.asyncIterator]();
    const onAbort = () => this.#interrupt?.(abortError(this.#signal));
    this.#signal.addEventListener('abort', onAbort, { once: true });
    try {
      await this.#pump(iterator);
      for (const output of this.outputs) output.end();
    } catch (error) {
      if (error !== ALL_DROPPED) for (const output of this.outputs) output.fail(error);
      // Not awaited: a source that hangs would otherwise hang its own ending.
      Promise.resolve(iterator.return?.()).catch(() => undefined);
    } finally {
      this.#signal.removeEventListener('abort', onAbort);
    }
  }

  async #pump(iterator: AsyncIterator<Buffer>): Promise<void> {
    while (true) {
      const next = await this.#interruptible(iterator.next());
      if (next.done) return;
      if (next.value.length === 0) continue;
      const waiting = this.outputs
        .map((output) => output.push(next.value))
        .filter((wait) => wait !== undefined);
      if (waiting.length > 0) await this.#interruptible(Promise.all(waiting));
    }
  }

  /**
   * Waits for the work, or for an abort or the loss of the last output. A new promise each time: racing
   * one long-lived promise would collect a reaction per chunk.
   */
  #interruptible<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#interrupt = reject;
      work.then(resolve, reject);
      if (this.#signal.aborted) reject(abortError(this.#signal));
      if (this.#open === 0) reject(ALL_DROPPED);
    });
  }

  #onDrop(): void {
    this.#open -= 1;
    if (this.#open === 0) this.#interrupt?.(ALL_DROPPED);
  }
}

type OutputState =
  /** `left`: the consumer wants no more, as its `return()` said. */
  { readonly kind: 'open' | 'ended' | 'left' } | { readonly kind: 'failed'; readonly error: unknown };

/** One consumer's view of the input. Iterable once. */
export class FanoutOutput implements ByteStream {
  readonly #queue: Buffer[] = [];
  readonly #onDrop: () => void;
  readonly #release: ((chunk: Buffer) => void) | undefined;
  #queuedBytes = 0;
  #state: OutputState = { kind: 'open' };
  #wakeConsumer: (() => void) | undefined;
  #wakeProducer: (() => void) | undefined;

  constructor(onDrop: () => void, release: ((chunk: Buffer) => void) | undefined) {
    this.#onDrop = onDrop;
    this.#release = release;
  }

  release(chunk: Buffer): void {
    this.#release?.(chunk);
  }

  /** Takes a chunk; the promise, when there is one, asks the producer to wait until there is room. */
  push(chunk: Buffer): Promise<void> | undefined {
    if (this.#state.kind !== 'open') return undefined;
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
    this.#wake();
    if (this.#queuedBytes <= QUEUE_BYTES) return undefined;
    return new Promise((resolve) => {
      this.#wakeProducer = resolve;
    });
  }

  end(): void {
    if (this.#state.kind === 'open') this.#state = { kind: 'ended' };
    this.#wake();
  }

  fail(error: unknown): void {
    if (this.#state.kind === 'open') this.#close({ kind: 'failed', error });
  }

  /**
   * The consumer is given up: nothing is kept for it any more, and should it go on reading, it gets an
   * error rather than an end, so that it cannot take a part for the whole. Safe to call at any time.
   */
  drop(): void {
    this.#leave({ kind: 'failed', error: new BackupError('aborted', 'Nobody takes these bytes any more') });
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer, undefined> {
    return {
      next: () => this.#next(),
      return: async () => {
        this.#leave({ kind: 'left' });
        return { done: true, value: undefined };
      },
    };
  }

  async #next(): Promise<IteratorResult<Buffer, undefined>> {
    while (true) {
      if (this.#state.kind === 'failed') throw this.#state.error;
      const chunk = this.#queue.shift();
      if (chunk !== undefined) {
        this.#queuedBytes -= chunk.length;
        if (this.#queuedBytes <= QUEUE_BYTES) this.#releaseProducer();
        return { done: false, value: chunk };
      }
      if (this.#state.kind !== 'open') return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wakeConsumer = resolve;
      });
    }
  }

  #leave(state: OutputState): void {
    const { kind } = this.#state;
    if (kind !== 'open' && kind !== 'ended') return;
    this.#close(state);
    this.#onDrop();
  }

  #close(state: OutputState): void {
    this.#state = state;
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    this.#releaseProducer();
    this.#wake();
  }

  #wake(): void {
    this.#wakeConsumer?.();
    this.#wakeConsumer = undefined;
  }

  #releaseProducer(): void {
    this.#wakeProducer?.();
    this.#wakeProducer = undefined;
  }
}
