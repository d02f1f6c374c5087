import type { Socket } from 'node:net';
import { BlockPool } from '../bytes/block-pool.ts';
import { BLOCK_BYTES, type ByteStream } from '../bytes/stream.ts';
import { openSocketPair } from './socket-pair.ts';

/** Full blocks that wait for their reader; above it the tool has to wait. */
const MAX_READY = 2;
/** Blocks that were given back and are kept for the next ones. */
const KEPT_BLOCKS = 8;
/** How long bytes may wait for their block to become full, in ms, when the reader wants more. */
const PATIENCE_MS = 200;

/**
 * What a tool writes to stdout, read straight into blocks that serve again. Tools write 4 to 256 KiB at a
 * time: Node's own stream makes a new buffer for each, and the garbage collector pays for it.
 */
export class ToolOutput implements ByteStream {
  /** For the tool; to be destroyed when it has been started. */
  readonly theirs: Socket;
  readonly ours: Socket;
  /** Resolves when ours is: at its end, or when it is destroyed. */
  readonly closed: Promise<void>;
  readonly #source: BlockSource;

  static async open(): Promise<ToolOutput> {
    const source = new BlockSource();
    const { ours, theirs } = await openSocketPair({
      buffer: () => source.room,
      callback: (bytes) => source.filled(bytes),
    });
    return new ToolOutput(ours, theirs, source);
  }

  private constructor(ours: Socket, theirs: Socket, source: BlockSource) {
    this.ours = ours;
    this.theirs = theirs;
    this.#source = source;
    ours.once('end', () => source.end());
    ours.once('error', (error) => source.end(error));
    this.closed = new Promise((resolve) => {
      ours.once('close', () => {
        source.end();
        resolve();
      });
    });
  }

  /** To be read once. Ends when the tool has closed its stdout, and when `ours` is destroyed. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    for (;;) {
      const block = await this.#source.next();
      if (block === undefined) return;
      if (this.#source.hasRoom) this.ours.resume();
      yield block;
    }
  }

  release(block: Buffer): void {
    this.#source.release(block);
  }
}

/** Blocks that are filled by one side and taken by the other. */
class BlockSource {
  readonly #pool = new BlockPool(BLOCK_BYTES, KEPT_BLOCKS);
  readonly #ready: Buffer[] = [];
  #block = this.#pool.take();
  /** Of the block: what was given out already, and what is filled. */
  #given = 0;
  #bytes = 0;
  #ended = false;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;

  /** Where the next bytes go. */
  get room(): Buffer {
    return this.#block.subarray(this.#bytes);
  }

  get hasRoom(): boolean {
    return this.#ready.length < MAX_READY;
  }

  /** @returns false when no more shall come for now */
  filled(bytes: number): boolean {
    this.#bytes += bytes;
    if (this.#bytes === this.#block.length) {
      this.#ready.push(this.#block.subarray(this.#given));
      this.#block = this.#pool.take();
      this.#given = 0;
      this.#bytes = 0;
      this.#wake?.();
    }
    return this.hasRoom;
  }

  end(failure?: Error): void {
    this.#failure ??= this.#ended ? undefined : failure;
    this.#ended = true;
    this.#wake?.();
  }

  /** The next block, or part of one; undefined at the end. @throws the failure that ended it */
  async next(): Promise<Buffer | undefined> {
    if (this.#ready.length === 0 && !this.#ended) await this.#wait();
    const block = this.#ready.shift() ?? this.#takePart();
    if (block === undefined && this.#failure !== undefined) throw this.#failure;
    return block;
  }

  release(block: Buffer): void {
    this.#pool.release(block);
  }

  /** The block itself stays: the system may be about to write behind these bytes. */
  #takePart(): Buffer | undefined {
    if (this.#given === this.#bytes) return undefined;
    const part = Buffer.from(this.#block.subarray(this.#given, this.#bytes));
    this.#given = this.#bytes;
    return part;
  }

  /** Until a block is full, or what there is has waited long enough. */
  #wait(): Promise<void> {
    return new Promise((resolve) => {
      const timer = setInterval(() => {
        if (this.#bytes > this.#given) this.#wake?.();
      }, PATIENCE_MS);
      this.#wake = () => {
        clearInterval(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }
}
