import { createHash } from 'node:crypto';
import type { ByteStream } from './stream.ts';

/** Passes a stream on unchanged while it counts its bytes and computes their SHA-256. Iterable once. */
export class DigestTap implements ByteStream {
  readonly #input: ByteStream;
  readonly #onBytes: ((total: number) => void) | undefined;
  readonly #hash = createHash('sha256');
  #bytes = 0;
  #digest: string | undefined;

  constructor(input: ByteStream, onBytes?: (total: number) => void) {
    this.#input = input;
    this.#onBytes = onBytes;
  }

  /** Bytes that have passed so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** SHA-256 of what has passed, lower-case hex. Ends the computation: call it after the stream has ended. */
  sha256(): string {
    this.#digest ??= this.#hash.digest('hex');
    return this.#digest;
  }

  release(chunk: Buffer): void {
    this.#input.release?.(chunk);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, undefined> {
    for await (const chunk of this.#input) {
      this.#hash.update(chunk);
      this.#bytes += chunk.length;
      this.#onBytes?.(this.#bytes);
      yield chunk;
    }
  }
}
