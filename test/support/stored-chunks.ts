/**
 * Cuts stored files where their formats do, as docs/format.md tells, so that a test can lose, move and double
 * whole chunks. The pieces joined are the file.
 */
export type StoredFormat = 'zst' | 'gz' | 'br' | 'dbk' | 'age';

export function chunksOf(format: StoredFormat, file: Buffer): Buffer[] {
  switch (format) {
    case 'zst':
      return cutAt(file, zstdFrames(file));
    case 'gz':
      return cutAt(file, gzipMembers(file));
    case 'br':
      // One stream without a structure of its own.
      return cutEvery(file, 0, 100_000);
    case 'dbk':
      return cutEvery(file, file.readUInt16BE(10), 2 ** file.readUInt8(9) + 16);
    case 'age':
      return cutEvery(file, ageHeaderBytes(file), 64 * 1024 + 16);
  }
}

/** Lengths of the frames, from the seek table at the end of the file; the table is the last piece. */
function zstdFrames(file: Buffer): number[] {
  const footer = file.subarray(-9);
  const frames = footer.readUInt32LE(0);
  const table = file.length - 9 - frames * 12;
  return Array.from({ length: frames }, (_, at) => file.readUInt32LE(table + at * 12));
}

/** Lengths of the members, each in its subfield `DB`; the last one marks the end. */
function gzipMembers(file: Buffer): number[] {
  const lengths: number[] = [];
  for (let at = 0; at < file.length; at += lengths.at(-1) ?? 0) lengths.push(file.readUInt32LE(at + 16));
  return lengths;
}

function ageHeaderBytes(file: Buffer): number {
  const lastLine = file.indexOf('\n--- ') + 1;
  return file.indexOf('\n', lastLine) + 1 + 16;
}

function cutAt(file: Buffer, lengths: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  let at = 0;
  for (const length of lengths) {
    pieces.push(file.subarray(at, at + length));
    at += length;
  }
  return at < file.length ? [...pieces, file.subarray(at)] : pieces;
}

function cutEvery(file: Buffer, header: number, length: number): Buffer[] {
  const count = Math.ceil((file.length - header) / length);
  const lengths = Array.from({ length: count }, () => length);
  return cutAt(file, header > 0 ? [header, ...lengths] : lengths).filter(({ length: bytes }) => bytes > 0);
}
