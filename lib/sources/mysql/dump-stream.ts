import type { ByteStream } from '../../bytes/stream.ts';
import type { LockWatch } from './lock-watch.ts';

export interface DumpStreamOptions {
  /** Goes before the first bytes of the tool. */
  readonly first: Buffer;
  /** Is told when somebody waits for bytes. */
  readonly watch: LockWatch | undefined;
  /** Says more of a failure, when it can. */
  explain(failure: unknown): Promise<unknown>;
}

/** What a dump tool writes, on its way to whoever reads it. */
export class DumpStream implements ByteStream {
  readonly #tool: ByteStream;
  readonly #options: DumpStreamOptions;
  #hasBegun = false;

  constructor(tool: ByteStream, options: DumpStreamOptions) {
    this.#tool = tool;
    this.#options = options;
  }

  release(chunk: Buffer): void {
    this.#tool.release?.(chunk);
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer> {
    const chunks = this.#tool[Symbol.asyncIterator]();
    return {
      next: () => this.#next(chunks),
      return: async () => (await chunks.return?.()) ?? { done: true, value: undefined },
    };
  }

  async #next(chunks: AsyncIterator<Buffer>): Promise<IteratorResult<Buffer>> {
    const { watch, first, explain } = this.#options;
    watch?.begins();
    try {
      const next = await chunks.next();
      if (this.#hasBegun || next.done === true) return next;
      this.#hasBegun = true;
      return { done: false, value: Buffer.concat([first, next.value]) };
    } catch (error) {
      throw await explain(error);
    } finally {
      watch?.ends();
    }
  }
}
