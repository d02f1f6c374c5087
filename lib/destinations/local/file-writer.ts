import type { FileHandle } from 'node:fs/promises';
import { BLOCK_BYTES } from '../../bytes/stream.ts';

/** Most bytes that wait in memory for the disk; above it, `add` makes its caller wait. */
const MAX_QUEUED_BYTES = 8 * BLOCK_BYTES;
/** Bytes handed to the disk in one call. */
const BATCH_BYTES = 4 * BLOCK_BYTES;
/** After so many bytes the disk is told to begin, so that the sync at the end has little left to do. */
const FLUSH_BYTES = 32 * BLOCK_BYTES;
/** A block is written early when it is made of that many chunks: bounds what tiny chunks cost. */
const BLOCK_CHUNKS = 256;
const MAX_QUEUED_CHUNKS = 16 * BLOCK_CHUNKS;

/**
 * Writes chunks to a file in blocks of about 1 MiB, one call to the disk at a time, behind the back of
 * the one who brings them: the producer goes on while the disk writes.
 */
export class FileWriter {
  readonly #file: FileHandle;
  readonly #written: (chunk: Buffer) => void;
  readonly #failed = new AbortController();
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #position = 0;
  #flushedTo = 0;
  #flushing: Promise<void> | undefined;
  #draining: Promise<void> | undefined;
  #ending = false;
  #stopped = false;
  #room: (() => void) | undefined;

  /** @param written is told of each chunk when the file holds it, so that its memory can serve again */
  constructor(file: FileHandle, written: (chunk: Buffer) => void = () => {}) {
    this.#file = file;
    this.#written = written;
  }

  /** Aborts with the disk's error as soon as a write fails. */
  get failed(): AbortSignal {
    return this.#failed.signal;
  }

  /** Bytes that the file holds. */
  get written(): number {
    return this.#position;
  }

  /** Takes a chunk; resolves when there is room for the next one. Failures show in `failed`. */
  async add(chunk: Buffer): Promise<void> {
    if (chunk.length === 0) return;
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
    this.#drain();
    if (!this.#isFull() || this.#stopped) return;
    await new Promise<void>((resolve) => {
      this.#room = resolve;
    });
  }

  /** Writes what is left. @throws the disk's error */
  async end(): Promise<void> {
    this.#ending = true;
    while (this.#queue.length > 0 && !this.#stopped) {
      this.#drain();
      await this.#draining;
    }
    await this.#draining;
    await this.#flushing;
    this.#failed.signal.throwIfAborted();
  }

  /** Writes no more; resolves when the disk is done with the call under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#draining;
    await this.#flushing;
  }

  #drain(): void {
    if (this.#draining !== undefined || !this.#isBlockReady()) return;
    this.#draining = this.#writeBlocks().then(
      () => this.#settle(),
      (error: unknown) => {
        this.#fail(error);
        this.#settle();
      },
    );
  }

  #fail(error: unknown): void {
    this.#stopped = true;
    this.#failed.abort(error);
  }

  /** An error of the disk is told to one sync only: to this one, then. */
  #flushBehind(): void {
    if (this.#flushing !== undefined || this.#position - this.#flushedTo < FLUSH_BYTES) return;
    this.#flushedTo = this.#position;
    this.#flushing = this.#file.datasync().then(
      () => {
        this.#flushing = undefined;
      },
      (error: unknown) => this.#fail(error),
    );
  }

  #settle(): void {
    this.#draining = undefined;
    this.#wakeProducer();
  }

  #wakeProducer(): void {
    this.#room?.();
    this.#room = undefined;
  }

  #isBlockReady(): boolean {
    if (this.#stopped) return false;
    if (this.#ending) return this.#queue.length > 0;
    return this.#queuedBytes >= BLOCK_BYTES || this.#queue.length >= BLOCK_CHUNKS;
  }

  #isFull(): boolean {
    return this.#queuedBytes >= MAX_QUEUED_BYTES || this.#queue.length >= MAX_QUEUED_CHUNKS;
  }

  async #writeBlocks(): Promise<void> {
    while (this.#isBlockReady()) {
      const batch = this.#takeBatch();
      await this.#writeAll(batch);
      this.#flushBehind();
      for (const chunk of batch) {
        this.#queuedBytes -= chunk.length;
        this.#written(chunk);
      }
      if (!this.#isFull()) this.#wakeProducer();
    }
  }

  #takeBatch(): Buffer[] {
    let bytes = 0;
    let count = 0;
    for (const chunk of this.#queue) {
      if (count > 0 && bytes + chunk.length > BATCH_BYTES) break;
      bytes += chunk.length;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  /** A call may write less than it was given (the last one before the disk is full does). */
  async #writeAll(batch: readonly Buffer[]): Promise<void> {
    let rest = [...batch];
    while (rest.length > 0) {
      const { bytesWritten } = await this.#file.writev(rest, this.#position);
      this.#position += bytesWritten;
      rest = withoutFirst(rest, bytesWritten);
    }
  }
}

function withoutFirst(buffers: readonly Buffer[], bytes: number): Buffer[] {
  let skip = bytes;
  const rest: Buffer[] = [];
  for (const buffer of buffers) {
    if (skip >= buffer.length) {
      skip -= buffer.length;
      continue;
    }
    rest.push(skip === 0 ? buffer : buffer.subarray(skip));
    skip = 0;
  }
  return rest;
}
