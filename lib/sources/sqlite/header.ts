/** Length of the header at the start of each SQLite database file, in bytes. */
export const HEADER_BYTES = 100;

const MAGIC = Buffer.from('SQLite format 3\0', 'latin1');

export interface SqliteHeader {
  readonly pageSize: number;
  /** Pages of the database; undefined when the header does not say so reliably (written by SQLite before 3.7). */
  readonly pages: number | undefined;
  /** How the file will be opened: with a write-ahead log, or with a rollback journal. */
  readonly journal: 'wal' | 'rollback';
}

/**
 * Reads the header of a database file (https://sqlite.org/fileformat2.html#the_database_header).
 * Undefined when the bytes are not one: another kind of file, or an encrypted database.
 */
export function readHeader(bytes: Uint8Array): SqliteHeader | undefined {
  const header = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (header.length < HEADER_BYTES || !header.subarray(0, MAGIC.length).equals(MAGIC)) return undefined;
  const stored = header.readUInt16BE(16);
  const pageSize = stored === 1 ? 65_536 : stored;
  if (pageSize < 512 || (pageSize & (pageSize - 1)) !== 0) return undefined;
  const changeCounter = header.readUInt32BE(24);
  const pages = header.readUInt32BE(28);
  const validFor = header.readUInt32BE(92);
  return {
    pageSize,
    pages: pages > 0 && changeCounter === validFor ? pages : undefined,
    journal: header[18] === 2 && header[19] === 2 ? 'wal' : 'rollback',
  };
}
