import { damaged } from './decode-error.ts';

/** The frame format of RFC 8878, as far as it takes to find where frames begin and end. */

export const ZSTD_MAGIC = 0xfd2fb528;
export const MAGIC_BYTES = 4;
/** Magic number and descriptor: enough to tell how long the whole header is. */
export const HEADER_START_BYTES = MAGIC_BYTES + 1;
export const BLOCK_HEADER_BYTES = 3;
export const CHECKSUM_BYTES = 4;
/** Magic number and size of a skippable frame. */
export const SKIPPABLE_HEADER_BYTES = 8;
/** Larger windows are refused, as `zstd -d` does by default: they cost that much memory. */
export const MAX_WINDOW_BYTES = 128 * 1024 * 1024;

const MAX_BLOCK_BYTES = 128 * 1024;

export interface FrameHeader {
  /** Length of the header itself, magic number included. */
  readonly bytes: number;
  readonly windowBytes: number;
  /** Size of the decompressed frame, when the frame tells it. */
  readonly contentBytes: number | undefined;
  readonly hasChecksum: boolean;
}

export interface BlockHeader {
  readonly last: boolean;
  /** Length of what follows the block's header. */
  readonly bytes: number;
}

export function isSkippable(magic: number): boolean {
  return magic >>> 4 === 0x184d2a5;
}

/** Length of a frame's header, from its first `HEADER_START_BYTES` bytes. */
export function frameHeaderBytes(start: Buffer): number {
  const { single, dictionaryBytes, contentSizeBytes } = fieldsOf(start.readUInt8(MAGIC_BYTES));
  return HEADER_START_BYTES + (single ? 0 : 1) + dictionaryBytes + contentSizeBytes;
}

/**
 * @param header exactly the header's bytes
 * @param where names the frame in errors
 */
export function parseFrameHeader(header: Buffer, where: string): FrameHeader {
  const descriptor = header.readUInt8(MAGIC_BYTES);
  if ((descriptor & 0x08) !== 0) throw damaged(`${where} uses a reserved bit`);
  const { single, dictionaryBytes, contentSizeBytes } = fieldsOf(descriptor);
  const dictionaryAt = HEADER_START_BYTES + (single ? 0 : 1);
  if (header.subarray(dictionaryAt, dictionaryAt + dictionaryBytes).some((byte) => byte !== 0)) {
    throw damaged(`${where} needs a dictionary, which this product never uses`);
  }
  const contentBytes = contentSize(header, dictionaryAt + dictionaryBytes, contentSizeBytes);
  const windowBytes = single ? (contentBytes ?? 0) : windowSize(header.readUInt8(HEADER_START_BYTES));
  return { bytes: header.length, windowBytes, contentBytes, hasChecksum: (descriptor & 0x04) !== 0 };
}

export function parseBlockHeader(bytes: Buffer, where: string): BlockHeader {
  const value = bytes.readUIntLE(0, BLOCK_HEADER_BYTES);
  const type = (value >>> 1) & 0x03;
  const size = value >>> 3;
  if (type === 3) throw damaged(`${where} holds a block of a reserved type`);
  if (size > MAX_BLOCK_BYTES) throw damaged(`${where} holds a block of ${size} bytes, 128 KiB is the limit`);
  // A run-length block says how often its one byte is repeated.
  return { last: (value & 0x01) !== 0, bytes: type === 1 ? 1 : size };
}

function fieldsOf(descriptor: number): {
  single: boolean;
  dictionaryBytes: number;
  contentSizeBytes: number;
} {
  const single = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 0x03] ?? 0;
  const contentSizeBytes = [single ? 1 : 0, 2, 4, 8][descriptor >>> 6] ?? 0;
  return { single, dictionaryBytes, contentSizeBytes };
}

function contentSize(header: Buffer, at: number, bytes: number): number | undefined {
  switch (bytes) {
    case 1:
      return header.readUInt8(at);
    case 2:
      return header.readUInt16LE(at) + 256;
    case 4:
      return header.readUInt32LE(at);
    case 8:
      return Number(header.readBigUInt64LE(at));
    default:
      return undefined;
  }
}

function windowSize(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >>> 3));
  return base + (base / 8) * (descriptor & 0x07);
}
