import { orAbort } from '../abort.ts';
import type { ByteStream } from '../bytes/stream.ts';
import { throwIfAborted } from '../errors.ts';

/** Input buffers below this size are gathered: a cipher call costs more than copying them. */
const SMALL_BYTES = 16 * 1024;
/** Size of the buffers that small ones are gathered into. */
const GATHER_BYTES = 64 * 1024;

/** Consecutive bytes as the pieces they arrived in, so that large buffers are never copied. */
export interface Block {
  readonly pieces: readonly Buffer[];
  readonly bytes: number;
}

/** Runs a pass over the blocks of a stream and ends the producer with it, however it ends. */
export async function* throughBlocks(
  input: ByteStream,
  signal: AbortSignal,
  pass: (reader: BlockReader) => AsyncIterable<Buffer>,
): AsyncGenerator<Buffer> {
  const reader = new BlockReader(input, signal);
  try {
    throwIfAborted(signal);
    yield* pass(reader);
  } finally {
    await reader.close();
  }
}

/** A block without its last bytes, and these in one buffer, wherever the pieces were cut. */
export function splitEnd(block: Block, endBytes: number): { body: Buffer[]; end: Buffer } {
  const body = [...block.pieces];
  const end: Buffer[] = [];
  let missing = Math.min(endBytes, block.bytes);
  while (missing > 0) {
    const last = body.pop() ?? Buffer.alloc(0);
    const kept = Math.max(0, last.length - missing);
    end.unshift(last.subarray(kept));
    missing -= last.length - kept;
    if (kept > 0) body.push(last.subarray(0, kept));
  }
  return { body, end: Buffer.concat(end) };
}

/**
 * Cuts a byte stream into blocks of exact sizes, whatever the sizes in which it arrives.
 * The one who opens a reader closes it, so that the producer behind it ends too.
 */
export class BlockReader {
  readonly #iterator: AsyncIterator<Buffer>;
  readonly #signal: AbortSignal;
  readonly #input: ByteStream;
  /** Chunks of the input that were read and not given back, for a pass that gives them back. */
  #chunks: Buffer[] | undefined;
  #rest: Buffer | undefined;
  #ended = false;

  constructor(input: ByteStream, signal: AbortSignal) {
    this.#input = input;
    this.#iterator = input[Symbol.asyncIterator]();
    this.#signal = signal;
  }

  /** The next `bytes` bytes; fewer only at the end of the stream. */
  async read(bytes: number): Promise<Block> {
    const gathered = new Gatherer();
    let missing = bytes;
    while (missing > 0) {
      const piece = await this.#next();
      if (piece === undefined) break;
      if (piece.length > missing) this.#rest = piece.subarray(missing);
      const taken = piece.length > missing ? piece.subarray(0, missing) : piece;
      gathered.add(taken, missing);
      missing -= taken.length;
    }
    return { pieces: gathered.finish(), bytes: bytes - missing };
  }

  /** As `read`, in one buffer. For headers, which are small. */
  async readBuffer(bytes: number): Promise<Buffer> {
    return Buffer.concat((await this.read(bytes)).pieces);
  }

  /** True when no byte is left; may wait for the producer. */
  async atEnd(): Promise<boolean> {
    this.#rest = await this.#next();
    return this.#rest === undefined;
  }

  /** Gives bytes back, so that the next `read` sees them first. */
  unread(bytes: Buffer): void {
    if (bytes.length === 0) return;
    this.#rest = this.#rest === undefined ? bytes : Buffer.concat([bytes, this.#rest]);
  }

  /** Says that every block so far has been used: the chunks that they came in are given back. */
  release(): void {
    const unread = this.#rest === undefined ? undefined : this.#chunks?.pop();
    for (const chunk of this.#chunks ?? []) this.#input.release?.(chunk);
    this.#chunks = unread === undefined ? [] : [unread];
  }

  /** Ends the producer. After an abort it is told, but not waited for: it may hang. */
  async close(): Promise<void> {
    this.#rest = undefined;
    if (this.#ended) return;
    this.#ended = true;
    const ending = Promise.resolve(this.#iterator.return?.());
    if (!this.#signal.aborted) await ending;
    else ending.catch(() => undefined);
  }

  async #next(): Promise<Buffer | undefined> {
    throwIfAborted(this.#signal);
    const rest = this.#rest;
    if (rest !== undefined) {
      this.#rest = undefined;
      return rest;
    }
    while (!this.#ended) {
      const result = await orAbort(this.#iterator.next(), this.#signal);
      if (result.done === true) this.#ended = true;
      else if (result.value.length > 0) {
        this.#chunks?.push(result.value);
        return result.value;
      }
    }
    return undefined;
  }
}

/** Collects pieces: large ones as they are, runs of small ones copied together. */
class Gatherer {
  readonly #pieces: Buffer[] = [];
  #target: Buffer | undefined;
  #used = 0;

  /** @param missing bytes still expected, this piece included */
  add(piece: Buffer, missing: number): void {
    if (piece.length >= SMALL_BYTES || piece.length === missing) {
      this.#flush();
      this.#pieces.push(piece);
      return;
    }
    if (this.#target !== undefined && this.#used + piece.length > this.#target.length) this.#flush();
    this.#target ??= Buffer.allocUnsafeSlow(Math.min(GATHER_BYTES, missing));
    piece.copy(this.#target, this.#used);
    this.#used += piece.length;
  }

  finish(): readonly Buffer[] {
    this.#flush();
    return this.#pieces;
  }

  #flush(): void {
    if (this.#target !== undefined) this.#pieces.push(this.#target.subarray(0, this.#used));
    this.#target = undefined;
    this.#used = 0;
  }
}
