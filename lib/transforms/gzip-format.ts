import zlib from 'node:zlib';
import type { ByteCursor } from '../bytes/cursor.ts';
import { cutOff, damaged } from './decode-error.ts';

/**
 * The member format of RFC 1952, and the extra subfields by which our files say where members end:
 *
 * - `DB` (4 bytes): length of the whole member, header and trailer included, little-endian. BGZF and mgzip
 *   do the same under other names. It allows to find the next member without inflating this one.
 * - `DE` (16 bytes), only in the last, empty member: number of members before it (4), their uncompressed
 *   bytes (8), CRC-32 over their 8-byte trailers (4), little-endian. Without this member a file that is cut
 *   off between two members would look whole.
 */

export const TRAILER_BYTES = 8;
/** Length of the header that gzip writes when nothing optional is in it. */
export const PLAIN_HEADER_BYTES = 10;

const FIXED_BYTES = 10;
const DEFLATE = 8;
const FLAG_HEADER_CRC = 0x02;
const FLAG_EXTRA = 0x04;
const FLAG_NAME = 0x08;
const FLAG_COMMENT = 0x10;
const RESERVED_FLAGS = 0xe0;
const OS_UNKNOWN = 255;
/** File names and comments longer than this are not taken for real, in bytes. */
const MAX_TEXT_BYTES = 64 * 1024;

const SIZE_FIELD = { id: 'DB', bytes: 4 };
const END_FIELD = { id: 'DE', bytes: 16 };
/** An empty deflate stream and the trailer of empty content. */
const EMPTY_BODY = Buffer.from('03000000000000000000', 'hex');

/** What the last member says about those before it. */
export interface EndMark {
  readonly members: number;
  readonly contentBytes: number;
  readonly trailersCrc: number;
}

export interface MemberHeader {
  /** Length of the header itself. */
  readonly bytes: number;
  /** Length of the whole member, when it tells it (`DB`). */
  readonly memberBytes: number | undefined;
  readonly end: EndMark | undefined;
}

/** A member of ours, around a deflate stream and its trailer. */
export function encodeMember(bodyAndTrailer: Buffer): Buffer {
  const memberBytes = FIXED_BYTES + 2 + 4 + SIZE_FIELD.bytes + bodyAndTrailer.length;
  const size = subfield(SIZE_FIELD.id, SIZE_FIELD.bytes, (at) => at.writeUInt32LE(memberBytes, 0));
  return Buffer.concat([fixedHeader(), extraLength(size.length), size, bodyAndTrailer]);
}

/** The empty member that ends a file of ours. */
export function encodeEnd(mark: EndMark): Buffer {
  const end = subfield(END_FIELD.id, END_FIELD.bytes, (at) => {
    at.writeUInt32LE(mark.members, 0);
    at.writeBigUInt64LE(BigInt(mark.contentBytes), 4);
    at.writeUInt32LE(mark.trailersCrc, 12);
  });
  const memberBytes = FIXED_BYTES + 2 + 4 + SIZE_FIELD.bytes + end.length + EMPTY_BODY.length;
  const size = subfield(SIZE_FIELD.id, SIZE_FIELD.bytes, (at) => at.writeUInt32LE(memberBytes, 0));
  return Buffer.concat([fixedHeader(), extraLength(size.length + end.length), size, end, EMPTY_BODY]);
}

/** True when these are the deflate stream and trailer of the member that ends a file of ours. */
export function isEmptyBody(bytes: Buffer): boolean {
  return bytes.equals(EMPTY_BODY);
}

/**
 * Parses the header at the cursor without taking it.
 * @param where names the member in errors
 */
export async function readMemberHeader(cursor: ByteCursor, where: string): Promise<MemberHeader> {
  const need = async (bytes: number) => {
    if (!(await cursor.has(bytes))) throw cutOff(`${where} has only a part of its header`);
  };
  await need(FIXED_BYTES);
  const fixed = cursor.peek(FIXED_BYTES);
  if (fixed[0] !== 0x1f || fixed[1] !== 0x8b) {
    throw damaged(
      cursor.position === 0
        ? 'it does not begin as gzip does'
        : `no gzip member begins at byte ${cursor.position}, where the one before has ended`,
    );
  }
  const flags = fixed.readUInt8(3);
  if (fixed[2] !== DEFLATE || (flags & RESERVED_FLAGS) !== 0) throw damaged(`${where} has an unknown header`);

  let at = FIXED_BYTES;
  let extra = Buffer.alloc(0);
  if ((flags & FLAG_EXTRA) !== 0) {
    await need(at + 2);
    const length = cursor.peek(2, at).readUInt16LE(0);
    await need(at + 2 + length);
    extra = Buffer.from(cursor.peek(length, at + 2));
    at += 2 + length;
  }
  if ((flags & FLAG_NAME) !== 0) at = await behindText(cursor, at, where);
  if ((flags & FLAG_COMMENT) !== 0) at = await behindText(cursor, at, where);
  if ((flags & FLAG_HEADER_CRC) !== 0) {
    await need(at + 2);
    const expected = zlib.crc32(cursor.peek(at)) & 0xffff;
    if (cursor.peek(2, at).readUInt16LE(0) !== expected) throw damaged(`${where} has a damaged header`);
    at += 2;
  }
  return { bytes: at, memberBytes: memberBytes(extra), end: endMark(extra) };
}

/** The offset behind a zero-terminated text that starts at offset `at`. */
async function behindText(cursor: ByteCursor, at: number, where: string): Promise<number> {
  for (let length = 0; length < MAX_TEXT_BYTES; length += 1) {
    if (!(await cursor.has(at + length + 1))) throw cutOff(`${where} has only a part of its header`);
    if (cursor.peek(1, at + length)[0] === 0) return at + length + 1;
  }
  throw damaged(`${where} has a header without an end`);
}

function memberBytes(extra: Buffer): number | undefined {
  return findSubfield(extra, SIZE_FIELD)?.readUInt32LE(0);
}

function endMark(extra: Buffer): EndMark | undefined {
  const field = findSubfield(extra, END_FIELD);
  if (field === undefined) return undefined;
  return {
    members: field.readUInt32LE(0),
    contentBytes: Number(field.readBigUInt64LE(4)),
    trailersCrc: field.readUInt32LE(12),
  };
}

function findSubfield(extra: Buffer, field: { id: string; bytes: number }): Buffer | undefined {
  let at = 0;
  while (at + 4 <= extra.length) {
    const length = extra.readUInt16LE(at + 2);
    const content = extra.subarray(at + 4, at + 4 + length);
    if (extra.toString('latin1', at, at + 2) === field.id && content.length === field.bytes) return content;
    at += 4 + length;
  }
  return undefined;
}

function fixedHeader(): Buffer {
  return Buffer.from([0x1f, 0x8b, DEFLATE, FLAG_EXTRA, 0, 0, 0, 0, 0, OS_UNKNOWN]);
}

function extraLength(bytes: number): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16LE(bytes, 0);
  return length;
}

function subfield(id: string, bytes: number, write: (at: Buffer) => void): Buffer {
  const field = Buffer.alloc(4 + bytes);
  field.write(id, 0, 'latin1');
  field.writeUInt16LE(bytes, 2);
  write(field.subarray(4));
  return field;
}
