import type { ByteStream } from './stream.ts';

/** The places of passed chunks are removed in batches, since removing the first one each time is slow. */
const TRIM_CHUNKS = 256;
const NOTHING = Buffer.alloc(0);

/**
 * Reads a stream by position: for parsers that must look ahead and take exact numbers of bytes. Holds
 * only what was asked for and not yet taken; copies only what spans several chunks.
 */
export class ByteCursor {
  readonly #iterator: AsyncIterator<Buffer>;
  #chunks: Buffer[] = [];
  /** The chunk in which the position lies, and the offset in it. */
  #head = 0;
  #offset = 0;
  #buffered = 0;
  #position = 0;
  #ended = false;

  constructor(input: ByteStream) {
    this.#iterator = input[Symbol.asyncIterator]();
  }

  /** Bytes taken so far: the place in the stream that an error can name. */
  get position(): number {
    return this.#position;
  }

  /** Bytes that are here already, behind the position. */
  get buffered(): number {
    return this.#buffered;
  }

  /** Waits until `bytes` bytes are here; false when the stream ends before. */
  async has(bytes: number): Promise<boolean> {
    while (this.#buffered < bytes && !this.#ended) await this.#read();
    return this.#buffered >= bytes;
  }

  /** `bytes` bytes, `skip` behind the position, without moving it. They must be here: see `has`. */
  peek(bytes: number, skip = 0): Buffer {
    if (skip + bytes > this.#buffered) throw new RangeError('These bytes have not been read yet');
    let index = this.#head;
    let from = this.#offset + skip;
    for (let chunk = this.#chunk(index); from >= chunk.length && index + 1 < this.#chunks.length; ) {
      from -= chunk.length;
      index += 1;
      chunk = this.#chunk(index);
    }
    const first = this.#chunk(index);
    if (first.length - from >= bytes) return first.subarray(from, from + bytes);
    return this.#gather(index, from, bytes);
  }

  /** As `peek`, and moves behind them. */
  take(bytes: number): Buffer {
    const taken = this.peek(bytes);
    this.skip(bytes);
    return taken;
  }

  /** Moves the position. The bytes must be here: see `has`. */
  skip(bytes: number): void {
    if (bytes > this.#buffered) throw new RangeError('These bytes have not been read yet');
    this.#buffered -= bytes;
    this.#position += bytes;
    this.#offset += bytes;
    while (this.#head < this.#chunks.length && this.#offset >= this.#chunk(this.#head).length) {
      this.#offset -= this.#chunk(this.#head).length;
      this.#chunks[this.#head] = NOTHING;
      this.#head += 1;
    }
    if (this.#head === this.#chunks.length || this.#head >= TRIM_CHUNKS) {
      this.#chunks = this.#chunks.slice(this.#head);
      this.#head = 0;
    }
  }

  /** The next bytes as they lie in one chunk, at most `limit`; undefined at the end of the stream. */
  async takeSome(limit: number): Promise<Buffer | undefined> {
    if (!(await this.has(1))) return undefined;
    return this.take(Math.min(limit, this.#chunk(this.#head).length - this.#offset));
  }

  /** Puts the bytes that were taken last back before the position. */
  unread(bytes: Buffer): void {
    if (bytes.length === 0) return;
    const rest = this.#chunks.slice(this.#head);
    if (rest[0] !== undefined) rest[0] = rest[0].subarray(this.#offset);
    this.#chunks = [bytes, ...rest];
    this.#head = 0;
    this.#offset = 0;
    this.#buffered += bytes.length;
    this.#position -= bytes.length;
  }

  /** Ends the stream that is read. */
  async close(): Promise<void> {
    this.#chunks = [];
    this.#head = 0;
    this.#offset = 0;
    this.#buffered = 0;
    if (this.#ended) return;
    this.#ended = true;
    await this.#iterator.return?.();
  }

  async #read(): Promise<void> {
    const next = await this.#iterator.next();
    if (next.done === true) {
      this.#ended = true;
    } else if (next.value.length > 0) {
      this.#chunks.push(next.value);
      this.#buffered += next.value.length;
    }
  }

  #chunk(index: number): Buffer {
    return this.#chunks[index] ?? NOTHING;
  }

  #gather(index: number, from: number, bytes: number): Buffer {
    const gathered = Buffer.allocUnsafeSlow(bytes);
    let filled = 0;
    for (let at = index, start = from; filled < bytes; at += 1, start = 0) {
      filled += this.#chunk(at).copy(gathered, filled, start, start + bytes - filled);
    }
    return gathered;
  }
}
