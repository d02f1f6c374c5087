import type { ByteCursor } from '../bytes/cursor.ts';
import { cutOff, damaged } from './decode-error.ts';
import type { WholePart } from './whole-decoder.ts';
import {
  BLOCK_HEADER_BYTES,
  CHECKSUM_BYTES,
  type FrameHeader,
  frameHeaderBytes,
  HEADER_START_BYTES,
  isSkippable,
  MAGIC_BYTES,
  MAX_WINDOW_BYTES,
  parseBlockHeader,
  parseFrameHeader,
  SKIPPABLE_HEADER_BYTES,
  ZSTD_MAGIC,
} from './zstd-format.ts';
import { SEEK_TABLE_MAGIC, SeekTableCheck } from './zstd-seek-table.ts';

/** Frames whose content is at most this long are decompressed whole, and several at once. */
const WHOLE_CONTENT_BYTES = 4 * 1024 * 1024;
/** Skippable frames and the bytes of long frames are taken in pieces of at most this size. */
const PIECE_BYTES = 1024 * 1024;

/** A frame that is too long to be held, or does not tell its size: it is read by `frameBytes`. */
export interface LongFrame {
  readonly header: FrameHeader;
  readonly where: string;
}

export interface FrameOptions {
  /** `required`: the seek table that we write must stand at the end of the file, and nothing behind it. */
  readonly end: 'required' | 'optional';
}

/** Finds the frames of a zstd file by their headers, without decompressing them. */
export class ZstdFrames {
  readonly #cursor: ByteCursor;
  readonly #endRequired: boolean;
  #check = new SeekTableCheck();
  #frames = 0;
  #ended = false;
  #long: LongFrame | undefined;

  constructor(cursor: ByteCursor, options: FrameOptions) {
    this.#cursor = cursor;
    this.#endRequired = options.end === 'required';
  }

  /**
   * The frames that come now and can be held whole. Ends at the end of the file, or before a long frame,
   * which is then `pendingLongFrame`.
   * @throws BackupError `incomplete` when the file is cut off, `corrupt` when it is not zstd
   */
  async *wholeFrames(): AsyncGenerator<WholePart> {
    while (await this.#cursor.has(1)) {
      const magic = await this.#magic();
      if (isSkippable(magic)) {
        await this.#skip(magic);
        continue;
      }
      const header = await this.#header(magic);
      const bytes = await this.#measure(header);
      if (bytes === undefined) {
        this.#long = { header, where: this.#where };
        return;
      }
      yield this.#take(header, bytes);
    }
    this.#finish();
  }

  /** The long frame before which `wholeFrames` has stopped; it must be read before that is called again. */
  pendingLongFrame(): LongFrame | undefined {
    const long = this.#long;
    this.#long = undefined;
    return long;
  }

  /** The bytes of a long frame, exactly up to its end. */
  async *frameBytes(frame: LongFrame): AsyncGenerator<Buffer> {
    const cursor = this.#cursor;
    /** Bytes behind the position that are known to belong to the frame. */
    let known = frame.header.bytes;
    let complete = false;
    for (;;) {
      while (!complete && cursor.buffered >= known + BLOCK_HEADER_BYTES) {
        const block = parseBlockHeader(cursor.peek(BLOCK_HEADER_BYTES, known), frame.where);
        known += BLOCK_HEADER_BYTES + block.bytes;
        complete = block.last;
        if (complete && frame.header.hasChecksum) known += CHECKSUM_BYTES;
      }
      while (known > 0 && cursor.buffered > 0) {
        const piece = await cursor.takeSome(Math.min(known, PIECE_BYTES));
        if (piece === undefined) break;
        known -= piece.length;
        yield piece;
      }
      if (complete && known === 0) break;
      if (!(await cursor.has(known > 0 ? 1 : BLOCK_HEADER_BYTES)))
        throw cutOff(`${frame.where} does not end`);
    }
    this.#count(undefined);
  }

  get #where(): string {
    return `zstd frame ${this.#frames + 1} at byte ${this.#cursor.position}`;
  }

  async #magic(): Promise<number> {
    if (!(await this.#cursor.has(MAGIC_BYTES))) throw cutOff(`${this.#where} has only a part of its header`);
    const magic = this.#cursor.peek(MAGIC_BYTES).readUInt32LE(0);
    if (magic !== ZSTD_MAGIC && !isSkippable(magic)) {
      throw damaged(
        this.#cursor.position === 0
          ? 'it does not begin with a zstd frame'
          : `no zstd frame begins at byte ${this.#cursor.position}, where the one before has ended`,
      );
    }
    if (this.#ended && this.#endRequired) {
      throw damaged(`there are bytes behind its end, from byte ${this.#cursor.position} on`);
    }
    return magic;
  }

  async #header(magic: number): Promise<FrameHeader> {
    const cursor = this.#cursor;
    const cut = () => cutOff(`${this.#where} has only a part of its header`);
    if (magic !== ZSTD_MAGIC || !(await cursor.has(HEADER_START_BYTES))) throw cut();
    const bytes = frameHeaderBytes(cursor.peek(HEADER_START_BYTES));
    if (!(await cursor.has(bytes))) throw cut();
    const header = parseFrameHeader(cursor.peek(bytes), this.#where);
    const held = (header.contentBytes ?? Number.POSITIVE_INFINITY) <= WHOLE_CONTENT_BYTES;
    if (!held && header.windowBytes > MAX_WINDOW_BYTES) {
      throw damaged(
        `${this.#where} asks for a window of ${header.windowBytes} bytes; the limit is 128 MiB, more needs \`zstd -d --long=31\``,
      );
    }
    return header;
  }

  /** Length of the frame at the position, all of it being here; undefined when it is a long frame. */
  async #measure(header: FrameHeader): Promise<number | undefined> {
    const { contentBytes } = header;
    if (contentBytes === undefined || contentBytes > WHOLE_CONTENT_BYTES) return undefined;
    const cursor = this.#cursor;
    // What the content may take when it does not shrink, with room for many small blocks.
    const limit = contentBytes + (contentBytes >>> 6) + 64 * 1024;
    const cut = () => cutOff(`${this.#where} does not end`);
    let bytes = header.bytes;
    for (let last = false; !last; ) {
      if (!(await cursor.has(bytes + BLOCK_HEADER_BYTES))) throw cut();
      const block = parseBlockHeader(cursor.peek(BLOCK_HEADER_BYTES, bytes), this.#where);
      bytes += BLOCK_HEADER_BYTES + block.bytes;
      last = block.last;
      if (bytes > limit) return undefined;
    }
    if (header.hasChecksum) bytes += CHECKSUM_BYTES;
    if (!(await cursor.has(bytes))) throw cut();
    return bytes;
  }

  #take(header: FrameHeader, length: number): WholePart {
    const where = this.#where;
    const bytes = this.#cursor.take(length);
    const contentBytes = header.contentBytes ?? 0;
    const checksum = header.hasChecksum ? bytes.readUInt32LE(length - CHECKSUM_BYTES) : undefined;
    this.#count(checksum === undefined ? undefined : { compressedBytes: length, contentBytes, checksum });
    return { bytes, contentBytes, where };
  }

  #count(entry: Parameters<SeekTableCheck['add']>[0]): void {
    this.#check.add(entry);
    this.#frames += 1;
    this.#ended = false;
  }

  async #skip(magic: number): Promise<void> {
    const cursor = this.#cursor;
    const where = `the skippable zstd frame at byte ${cursor.position}`;
    if (!(await cursor.has(SKIPPABLE_HEADER_BYTES))) throw cutOff(`${where} does not end`);
    let missing = cursor.peek(MAGIC_BYTES, MAGIC_BYTES).readUInt32LE(0);
    const table = magic === SEEK_TABLE_MAGIC ? this.#check.compare(missing) : undefined;
    cursor.skip(SKIPPABLE_HEADER_BYTES);
    while (missing > 0) {
      const piece = await cursor.takeSome(Math.min(missing, PIECE_BYTES));
      if (piece === undefined) throw cutOff(`${where} does not end`);
      table?.update(piece);
      missing -= piece.length;
    }
    if (table?.finish(where) !== true) return;
    this.#ended = true;
    this.#check = new SeekTableCheck();
  }

  #finish(): void {
    if (this.#cursor.position === 0) throw cutOff('it is empty');
    if (this.#endRequired && !this.#ended) {
      throw cutOff(`the seek table that ends it is missing after byte ${this.#cursor.position}`);
    }
  }
}
