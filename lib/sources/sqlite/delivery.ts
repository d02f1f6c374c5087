import { type FileHandle, open, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BlockPool } from '../../bytes/block-pool.ts';
import { BLOCK_BYTES, type ByteStream } from '../../bytes/stream.ts';
import { BackupError, toBackupError } from '../../errors.ts';
import type { SqliteChild } from './child.ts';
import { readHeader } from './header.ts';
import { type ReadyReply, RING_SLOTS } from './protocol.ts';

/** Blocks that were given back and are kept for the next ones. */
const KEPT_BLOCKS = 8;

/** The bytes of one dump, taken from the child's file in blocks, once. */
export class Delivery implements ByteStream {
  /** Settles when the consumer has taken all bytes, or never will. */
  readonly drained: Promise<void>;
  readonly #child: SqliteChild;
  readonly #ready: ReadyReply;
  readonly #handle: FileHandle;
  readonly #subject: string;
  readonly #blocks: AsyncGenerator<Buffer, void>;
  readonly #pool = new BlockPool(BLOCK_BYTES, KEPT_BLOCKS);
  #settle: { resolve: () => void; reject: (error: BackupError) => void } = { resolve() {}, reject() {} };
  #started = false;

  /** Opens the file that the child offers and takes its name away, so that it vanishes with its users. */
  static async open(child: SqliteChild, ready: ReadyReply, subject: string): Promise<Delivery> {
    const handle = await open(ready.file, 'r');
    // Where open files cannot be deleted the folder is removed in the end.
    await rm(dirname(ready.file), { recursive: true, force: true }).catch(() => {});
    child.signal('opened');
    return new Delivery(child, ready, handle, subject);
  }

  private constructor(child: SqliteChild, ready: ReadyReply, handle: FileHandle, subject: string) {
    this.#child = child;
    this.#ready = ready;
    this.#handle = handle;
    this.#subject = subject;
    this.#blocks = this.#read();
    this.drained = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.drained.catch(() => {});
  }

  [Symbol.asyncIterator](): AsyncIterator<Buffer> {
    if (this.#started)
      throw new BackupError('internal', `The dump of ${this.#subject} can be read only once`);
    this.#started = true;
    return {
      next: () => this.#blocks.next(),
      return: async () => {
        await this.#stop();
        await this.#blocks.return();
        return { done: true, value: undefined };
      },
    };
  }

  release(chunk: Buffer): void {
    this.#pool.release(chunk);
  }

  /** Closes the file; the stream has ended or will not be read. */
  async close(): Promise<void> {
    await this.#handle.close();
  }

  /** The consumer wants no more: short of all bytes, this is no dump. */
  async #stop(): Promise<void> {
    const early = `The dump of ${this.#subject} was ended before all bytes were read`;
    this.#settle.reject(new BackupError('aborted', early));
    await this.#child.ended;
  }

  async *#read(): AsyncGenerator<Buffer, void> {
    const total = this.#ready.pages * this.#ready.pageSize;
    try {
      for (let number = 0; number * BLOCK_BYTES < total; number++) {
        const block = await this.#readBlock(number, total);
        if (number === 0) this.#requireHeader(block);
        if ((number + 1) * BLOCK_BYTES >= total) this.#settle.resolve();
        yield block;
      }
    } catch (error) {
      const failure = toBackupError(error, this.#subject);
      this.#settle.reject(failure);
      await this.#child.kill(failure);
      throw this.#child.failure ?? failure;
    }
  }

  async #readBlock(number: number, total: number): Promise<Buffer> {
    const start = number * BLOCK_BYTES;
    const block = this.#pool.take().subarray(0, Math.min(BLOCK_BYTES, total - start));
    const ring = this.#ready.layout === 'ring';
    if (ring) await this.#child.hasBlocks(number + 1);
    const position = ring ? (number % RING_SLOTS) * BLOCK_BYTES : start;
    for (let filled = 0; filled < block.length; ) {
      const { bytesRead } = await this.#handle.read(block, filled, block.length - filled, position + filled);
      if (bytesRead === 0) throw this.#cutShort(start + filled, total);
      filled += bytesRead;
    }
    if (this.#child.failure !== undefined) throw this.#child.failure;
    if (ring) this.#child.signal('taken');
    return block;
  }

  #requireHeader(block: Buffer): void {
    const header = readHeader(block);
    const { pages, pageSize } = this.#ready;
    if (header?.pageSize === pageSize && (header.pages ?? pages) === pages) return;
    throw new BackupError('corrupt', `The first page of the dump of ${this.#subject} does not tell its size`);
  }

  #cutShort(bytes: number, total: number): BackupError {
    return new BackupError('incomplete', `The dump of ${this.#subject} ended at ${bytes} of ${total} bytes`);
  }
}
