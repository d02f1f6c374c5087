import { readSync } from 'node:fs';

/**
 * The write-ahead log and its index as SQLite writes them: https://sqlite.org/fileformat2.html#walformat
 * and https://sqlite.org/walformat.html. Both are read while writers append, never changed.
 */
export const WAL_HEADER_BYTES = 32;
export const FRAME_HEADER_BYTES = 24;

const INDEX_HEADER_BYTES = 48;
const INDEX_VERSION = 3_007_000;
/** After the two copies of the header: how many frames have been copied back into the database file. */
const BACKFILL_OFFSET = 2 * INDEX_HEADER_BYTES;
const FRAMES_PER_READ_BYTES = 1024 * 1024;

/** The state of the log that readers see, as the index publishes it. */
export interface WalIndexHeader {
  /** All of it: two reads with equal bytes saw the same committed state. */
  readonly bytes: Buffer;
  /** Number of the last frame of the last commit; 0 when the log holds nothing. */
  readonly lastFrame: number;
  /** Pages of the database after that commit. */
  readonly pages: number;
  readonly pageSize: number;
  /** As in the header of the log, which changes them each time that it starts from the beginning. */
  readonly salts: Buffer;
  /** Cumulative checksum of the log up to the last frame. */
  readonly checksum: readonly [number, number];
  /** Frames that are in the database file too. */
  readonly backfilled: number;
}

/**
 * Reads the header of the index. Undefined while a writer is changing it, and when it is of a version or
 * byte order that is not ours.
 */
export function readIndexHeader(shm: number): WalIndexHeader | undefined {
  const bytes = Buffer.alloc(BACKFILL_OFFSET + 4);
  if (readSync(shm, bytes, 0, bytes.length, 0) < bytes.length) return undefined;
  const header = bytes.subarray(0, INDEX_HEADER_BYTES);
  if (!header.equals(bytes.subarray(INDEX_HEADER_BYTES, BACKFILL_OFFSET))) return undefined;
  if (header.readUInt32LE(0) !== INDEX_VERSION || header[12] !== 1) return undefined;
  const [first, second] = addToChecksum([0, 0], header.subarray(0, 40), false);
  if (header.readUInt32LE(40) !== first || header.readUInt32LE(44) !== second) return undefined;
  const pageSize = header.readUInt16LE(14);
  return {
    bytes: header,
    lastFrame: header.readUInt32LE(16),
    pages: header.readUInt32LE(20),
    pageSize: pageSize === 1 ? 65_536 : pageSize,
    checksum: [header.readUInt32LE(24), header.readUInt32LE(28)],
    salts: header.subarray(32, 40),
    backfilled: bytes.readUInt32LE(BACKFILL_OFFSET),
  };
}

/** True when the log still is the one with these salts, so that none of its frames was overwritten. */
export function hasSalts(wal: number, salts: Uint8Array): boolean {
  const header = Buffer.alloc(WAL_HEADER_BYTES);
  return (
    readSync(wal, header, 0, header.length, 0) === header.length && header.subarray(16, 24).equals(salts)
  );
}

/** Where the log keeps the newest content of each page that it holds, sorted by page. */
export interface WalPages {
  readonly pages: Uint32Array;
  /** Offset of the page's content in the log, in bytes, at the same place. */
  readonly offsets: Float64Array;
}

/**
 * Reads the frames of the log up to the state that the index published, and proves each with the salts and
 * the cumulative checksum.
 * @returns undefined when the log is not the one that the index speaks of: it has begun anew, or is damaged
 */
export function readWalPages(wal: number, index: WalIndexHeader): WalPages | undefined {
  const walHeader = Buffer.alloc(WAL_HEADER_BYTES);
  if (readSync(wal, walHeader, 0, walHeader.length, 0) < walHeader.length) return undefined;
  const magic = walHeader.readUInt32BE(0);
  if ((magic & 0xfffffffe) >>> 0 !== 0x377f0682) return undefined;
  if (walHeader.readUInt32BE(8) !== index.pageSize || !walHeader.subarray(16, 24).equals(index.salts)) return;
  const bigEndian = (magic & 1) === 1;
  let checksum = addToChecksum([0, 0], walHeader.subarray(0, 24), bigEndian);
  if (!isChecksum(walHeader, 24, checksum)) return undefined;

  const frameBytes = FRAME_HEADER_BYTES + index.pageSize;
  const newest = new Map<number, number>();
  const framesPerRead = Math.max(1, Math.floor(FRAMES_PER_READ_BYTES / frameBytes));
  const buffer = Buffer.allocUnsafeSlow(framesPerRead * frameBytes);
  let commitPages = 0;
  for (let frame = 0; frame < index.lastFrame; frame += framesPerRead) {
    const count = Math.min(framesPerRead, index.lastFrame - frame);
    const position = WAL_HEADER_BYTES + frame * frameBytes;
    if (readSync(wal, buffer, 0, count * frameBytes, position) < count * frameBytes) return undefined;
    for (let at = 0; at < count; at++) {
      const bytes = buffer.subarray(at * frameBytes, (at + 1) * frameBytes);
      if (!bytes.subarray(8, 16).equals(index.salts)) return undefined;
      checksum = addToChecksum(checksum, bytes.subarray(0, 8), bigEndian);
      checksum = addToChecksum(checksum, bytes.subarray(FRAME_HEADER_BYTES), bigEndian);
      if (!isChecksum(bytes, 16, checksum)) return undefined;
      commitPages = bytes.readUInt32BE(4);
      newest.set(bytes.readUInt32BE(0), position + at * frameBytes + FRAME_HEADER_BYTES);
    }
  }
  const complete = checksum[0] === index.checksum[0] && checksum[1] === index.checksum[1];
  if (index.lastFrame > 0 && !(complete && commitPages === index.pages)) return undefined;
  const pages = Uint32Array.from(newest.keys()).sort();
  return { pages, offsets: Float64Array.from(pages, (page) => newest.get(page) ?? 0) };
}

function isChecksum(bytes: Buffer, offset: number, checksum: readonly [number, number]): boolean {
  return bytes.readUInt32BE(offset) === checksum[0] && bytes.readUInt32BE(offset + 4) === checksum[1];
}

/** Adds bytes, a multiple of 8, to the checksum of two 32-bit sums that the log's format defines. */
function addToChecksum(
  checksum: readonly [number, number],
  bytes: Buffer,
  bigEndian: boolean,
): [number, number] {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
  let [first, second] = checksum;
  for (let at = 0; at < words.length; at += 2) {
    const one = words[at] ?? 0;
    const two = words[at + 1] ?? 0;
    first = (first + (bigEndian ? swap(one) : one) + second) >>> 0;
    second = (second + (bigEndian ? swap(two) : two) + first) >>> 0;
  }
  return [first, second];
}

function swap(word: number): number {
  return ((word << 24) | ((word & 0xff00) << 8) | ((word >>> 8) & 0xff00) | (word >>> 24)) >>> 0;
}
