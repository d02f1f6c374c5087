import type { Transform } from 'node:stream';
import { abortError, type BackupError } from '../errors.ts';

/** A codec of `node:zlib`. */
export type ZlibEngine = Transform & { readonly bytesWritten: number };

/** Size of the buffers that engines write into, in bytes: few, large steps on the thread pool. */
export const ENGINE_CHUNK_BYTES = 512 * 1024;

/**
 * Runs one zlib engine by pull: it is given the next chunk only when its output has been taken. Unlike a
 * pipe it tells which bytes the engine left unused when it reached its own end, and stops with the signal.
 */
export class ZlibPass {
  readonly #engine: ZlibEngine;
  readonly #signal: AbortSignal;
  #given = 0;
  #last: Buffer = Buffer.alloc(0);
  #busy = false;
  #ended = false;
  #failure: BackupError | undefined;
  #wake: (() => void) | undefined;

  /** @param describe turns an error of the engine into one for people */
  constructor(engine: ZlibEngine, signal: AbortSignal, describe: (error: Error) => BackupError) {
    this.#engine = engine;
    this.#signal = signal;
    const changed = () => this.#wake?.();
    engine.on('readable', changed);
    engine.on('end', () => {
      this.#ended = true;
      changed();
    });
    engine.on('error', (error) => this.#fail(describe(error)));
  }

  /**
   * The engine's output for the chunks that `next` gives, until `next` gives none or the engine has
   * reached the end of its format. The engine is closed in any case.
   */
  async *run(next: () => Promise<Buffer | undefined>): AsyncGenerator<Buffer> {
    const onAbort = () => this.#fail(abortError(this.#signal));
    this.#signal.addEventListener('abort', onAbort);
    try {
      if (this.#signal.aborted) onAbort();
      for (;;) {
        if (this.#failure !== undefined) throw this.#failure;
        const output: Buffer | null = this.#engine.read();
        if (output !== null) yield output;
        else if (this.#ended) return;
        else if (this.#busy) await this.#change();
        else this.#give(await next());
      }
    } finally {
      this.#signal.removeEventListener('abort', onAbort);
      this.#engine.destroy();
    }
  }

  /** What the engine was given but did not use, because its format ended before. After `run` has ended. */
  get unused(): Buffer {
    return this.#last.subarray(this.#last.length - (this.#given - this.#engine.bytesWritten));
  }

  #give(chunk: Buffer | undefined): void {
    this.#busy = true;
    if (chunk === undefined) {
      this.#engine.end();
      return;
    }
    this.#given += chunk.length;
    this.#last = chunk;
    this.#engine.write(chunk, () => {
      // An engine that leaves input unused has reached its end: 'end' follows, and it takes no more.
      this.#busy = this.#engine.bytesWritten < this.#given;
      this.#wake?.();
    });
  }

  #fail(error: BackupError): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
