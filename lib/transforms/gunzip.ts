import zlib from 'node:zlib';
import { abortable } from '../bytes/abortable.ts';
import { ByteCursor } from '../bytes/cursor.ts';
import { mapOrdered, parallelBlocks } from '../bytes/parallel.ts';
import { withRelease } from '../bytes/release.ts';
import type { ByteStream } from '../bytes/stream.ts';
import { decodeError } from './decode-error.ts';
import { GzipMembers, type MemberOptions, type OpenMember } from './gzip-members.ts';
import { WholeDecoder } from './whole-decoder.ts';
import { ENGINE_CHUNK_BYTES, ZlibPass } from './zlib-pass.ts';

/** What is given to an inflating engine at once, in bytes. */
const INPUT_PIECE_BYTES = 256 * 1024;

/**
 * Decompresses a gzip file (RFC 1952): members that tell their length in parallel, others as they come.
 * @throws BackupError `incomplete` when the file is cut off, `corrupt` when it is damaged, `aborted`
 */
export function decompressGzip(input: ByteStream, signal: AbortSignal, options: MemberOptions): ByteStream {
  const decoder = new WholeDecoder(zlib.gunzip);
  const content = decodeMembers(abortable(input, signal), decoder, signal, options);
  return withRelease(content, (chunk) => decoder.release(chunk));
}

async function* decodeMembers(
  input: ByteStream,
  decoder: WholeDecoder,
  signal: AbortSignal,
  options: MemberOptions,
): AsyncGenerator<Buffer> {
  const cursor = new ByteCursor(input);
  const members = new GzipMembers(cursor, options);
  try {
    for (;;) {
      yield* mapOrdered(members.wholeMembers(), (member) => decoder.decode(member), {
        inFlight: parallelBlocks(),
        signal,
      });
      const open = members.pendingOpenMember();
      if (open === undefined) return;
      yield* inflateOpen(open, cursor, members, signal);
    }
  } finally {
    await cursor.close();
  }
}

async function* inflateOpen(
  member: OpenMember,
  cursor: ByteCursor,
  members: GzipMembers,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  cursor.skip(member.headerBytes);
  const engine = zlib.createInflateRaw({ chunkSize: ENGINE_CHUNK_BYTES });
  const pass = new ZlibPass(engine, signal, (error) => decodeError(member.where, error));
  const content = { bytes: 0, crc: 0 };
  for await (const piece of pass.run(() => cursor.takeSome(INPUT_PIECE_BYTES))) {
    content.bytes += piece.length;
    content.crc = zlib.crc32(piece, content.crc);
    yield piece;
  }
  cursor.unread(pass.unused);
  await members.takeTrailer(member, content);
}
