import zlib from 'node:zlib';
import { damaged } from './decode-error.ts';
import { SKIPPABLE_HEADER_BYTES } from './zstd-format.ts';

/**
 * The seek table of the zstd seekable format, version 0.1.0: a skippable frame at the end of the file that
 * lists every frame. Tools that do not know it pass over it. Here it also is the mark of the file's end:
 * without it a file that is cut off between two frames would look whole.
 * https://github.com/facebook/zstd/blob/dev/contrib/seekable_format/zstd_seekable_compression_format.md
 */

export const SEEK_TABLE_MAGIC = 0x184d2a5e;
const SEEKABLE_MAGIC = 0x8f92eab1;
const FOOTER_BYTES = 9;
const ENTRY_BYTES = 12;
const ENTRY_BYTES_WITHOUT_CHECKSUM = 8;
const CHECKSUM_FLAG = 0x80;
const RESERVED_BITS = 0x7c;
const PAGE_ENTRIES = 4096;

export interface FrameEntry {
  readonly compressedBytes: number;
  readonly contentBytes: number;
  /** The frame's own content checksum: the low 32 bits of the XXH64 of its content. */
  readonly checksum: number;
}

/** Collects the table of a file that is being written: 12 bytes of memory per frame. */
export class SeekTableWriter {
  readonly #pages: Buffer[] = [];
  #frames = 0;

  get frames(): number {
    return this.#frames;
  }

  add(entry: FrameEntry): void {
    const slot = this.#frames % PAGE_ENTRIES;
    if (slot === 0) this.#pages.push(Buffer.allocUnsafeSlow(PAGE_ENTRIES * ENTRY_BYTES));
    this.#pages.at(-1)?.set(encodeEntry(entry), slot * ENTRY_BYTES);
    this.#frames += 1;
  }

  /** The whole skippable frame, in pieces. */
  *encode(): Generator<Buffer> {
    const entriesBytes = this.#frames * ENTRY_BYTES;
    const header = Buffer.alloc(SKIPPABLE_HEADER_BYTES);
    header.writeUInt32LE(SEEK_TABLE_MAGIC, 0);
    header.writeUInt32LE(entriesBytes + FOOTER_BYTES, 4);
    const footer = Buffer.alloc(FOOTER_BYTES);
    footer.writeUInt32LE(this.#frames, 0);
    footer.writeUInt8(CHECKSUM_FLAG, 4);
    footer.writeUInt32LE(SEEKABLE_MAGIC, 5);
    yield header;
    for (const [index, page] of this.#pages.entries()) {
      yield page.subarray(0, entriesBytes - index * PAGE_ENTRIES * ENTRY_BYTES);
    }
    yield footer;
  }
}

/** Compares a file's frames with its seek table while it is read, without keeping either. */
export class SeekTableCheck {
  #frames = 0;
  #withChecksums = 0;
  #withoutChecksums = 0;
  /** False once a frame did not tell its size or checksum: then there is nothing to compare. */
  #comparable = true;

  /** Adds the next frame in the file; undefined when its size or checksum is not known. */
  add(entry: FrameEntry | undefined): void {
    this.#frames += 1;
    if (entry === undefined) {
      this.#comparable = false;
      return;
    }
    const bytes = encodeEntry(entry);
    this.#withChecksums = zlib.crc32(bytes, this.#withChecksums);
    this.#withoutChecksums = zlib.crc32(
      bytes.subarray(0, ENTRY_BYTES_WITHOUT_CHECKSUM),
      this.#withoutChecksums,
    );
  }

  /**
   * Starts the comparison with a table. It takes the content of the skippable frame piece by piece and
   * says at the end whether that was a seek table at all.
   * @throws BackupError `corrupt` when it was one, but of other frames
   */
  compare(contentBytes: number): { update(piece: Buffer): void; finish(where: string): boolean } {
    const entriesBytes = contentBytes - FOOTER_BYTES;
    const footer = Buffer.alloc(FOOTER_BYTES);
    let entries = 0;
    let seen = 0;
    return {
      update: (piece) => {
        const ofEntries = Math.max(0, Math.min(piece.length, entriesBytes - seen));
        entries = zlib.crc32(piece.subarray(0, ofEntries), entries);
        const rest = piece.subarray(ofEntries);
        if (rest.length > 0) rest.copy(footer, seen + ofEntries - entriesBytes);
        seen += piece.length;
      },
      finish: (where) => {
        if (entriesBytes < 0 || footer.readUInt32LE(5) !== SEEKABLE_MAGIC) return false;
        this.#verify(footer, entriesBytes, entries, where);
        return true;
      },
    };
  }

  #verify(footer: Buffer, entriesBytes: number, entries: number, where: string): void {
    const frames = footer.readUInt32LE(0);
    const flags = footer.readUInt8(4);
    const checksums = (flags & CHECKSUM_FLAG) !== 0;
    const entryBytes = checksums ? ENTRY_BYTES : ENTRY_BYTES_WITHOUT_CHECKSUM;
    if ((flags & RESERVED_BITS) !== 0 || frames * entryBytes !== entriesBytes) {
      throw damaged(`${where} is not a valid seek table`);
    }
    if (frames !== this.#frames) {
      throw damaged(`it holds ${this.#frames} frames, but its seek table lists ${frames}`);
    }
    const expected = checksums ? this.#withChecksums : this.#withoutChecksums;
    if (this.#comparable && entries !== expected) {
      throw damaged('its frames are not those that its seek table lists');
    }
  }
}

function encodeEntry(entry: FrameEntry): Buffer {
  const bytes = Buffer.allocUnsafe(ENTRY_BYTES);
  bytes.writeUInt32LE(entry.compressedBytes, 0);
  bytes.writeUInt32LE(entry.contentBytes, 4);
  bytes.writeUInt32LE(entry.checksum, 8);
  return bytes;
}
