import { withRelease } from '../../bytes/release.ts';
import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError } from '../../errors.ts';
import type { TableRows } from '../driver.ts';
import type { DumpReader } from './dump-reader.ts';
import { type Archive, readArchive } from './restore-archive.ts';

/** A head longer than this is not one, in bytes. */
const MAX_HEAD_BYTES = 512 * 1024 * 1024;

/**
 * The raw dump on its way into a tool. A tool may stop reading when it has what it needs; the bytes are to be
 * believed only when all of them have come, so `finish` reads the rest.
 */
export class RestoreInput {
  readonly #raw: ByteStream;
  readonly #chunks: AsyncIterator<Buffer>;
  /** Chunks that were read ahead. */
  readonly #head: Buffer[] = [];
  readonly #reader: DumpReader;
  #tables: readonly TableRows[] = [];
  #ended = false;
  #failure: unknown;
  #bytes = 0;

  /**
   * @param reader follows the bytes and throws when they end early: the tools take a script that is cut off
   *   for a whole one, and pg_restore waits for ever for the rest of a tar file
   */
  constructor(raw: ByteStream, reader: DumpReader) {
    this.#raw = raw;
    this.#chunks = raw[Symbol.asyncIterator]();
    this.#reader = reader;
  }

  /** The first bytes, without taking them: at least this many when the dump has them. */
  async peek(least: number): Promise<Buffer> {
    await this.#readAhead(least);
    return Buffer.concat(this.#head);
  }

  /**
   * Looks at the head of an archive without taking it.
   * @throws BackupError `incomplete` when the dump ends within it, else of `readArchive` or the dump
   */
  async archive(format: 'custom' | 'tar'): Promise<Archive> {
    for (let least = 1; ; least *= 2) {
      const isMore = await this.#readAhead(least);
      const archive = readArchive(Buffer.concat(this.#head), format);
      if (archive !== undefined) return archive;
      if (!isMore) {
        throw new BackupError('incomplete', 'The dump ends within its table of contents');
      }
      least = Math.max(least, this.#bytes);
      if (least > MAX_HEAD_BYTES) {
        throw new BackupError(
          'corrupt',
          `The dump's table of contents has more than ${MAX_HEAD_BYTES} bytes`,
        );
      }
    }
  }

  /** What has not been read yet. Leaving it early does not end the dump. */
  stream(): ByteStream {
    return withRelease({ [Symbol.asyncIterator]: () => this.#rest() }, (chunk) => this.#raw.release?.(chunk));
  }

  /**
   * Reads the rest of the dump.
   * @returns rows of each table in the whole dump, as far as they can be counted
   * @throws what the dump throws when its bytes are wrong
   */
  async finish(): Promise<readonly TableRows[]> {
    for await (const chunk of this.stream()) this.#raw.release?.(chunk);
    return this.#tables;
  }

  /** Ends the dump, wherever it is. */
  async close(): Promise<void> {
    this.#head.length = 0;
    if (this.#ended) return;
    this.#ended = true;
    await this.#chunks.return?.();
  }

  async *#rest(): AsyncGenerator<Buffer, undefined> {
    for (;;) {
      const chunk = this.#head.shift() ?? (await this.#next());
      if (chunk === undefined) return;
      yield chunk;
    }
  }

  /** @returns false when the dump has fewer bytes */
  async #readAhead(least: number): Promise<boolean> {
    while (this.#bytes < least) {
      const chunk = await this.#next();
      if (chunk === undefined) return false;
      this.#head.push(chunk);
    }
    return true;
  }

  async #next(): Promise<Buffer | undefined> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#ended) return undefined;
    try {
      const next = await this.#chunks.next();
      if (next.done !== true) {
        this.#bytes += next.value.length;
        this.#reader.take(next.value);
        return next.value;
      }
      this.#tables = this.#reader.end().tables ?? [];
      this.#ended = true;
      return undefined;
    } catch (error) {
      this.#ended = true;
      this.#failure = error;
      throw error;
    }
  }
}
