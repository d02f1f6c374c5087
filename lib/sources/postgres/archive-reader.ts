import { BackupError } from '../../errors.ts';
import { type ArchiveToc, TocReader } from './archive-toc.ts';

/** Kinds of blocks, of `pg_backup_archiver.h`. */
const BLOCK_DATA = 1;
const BLOCK_BLOBS = 3;
/** A sign and four bytes. */
const INTEGER_BYTES = 5;
/** What ends the data of a table: `\.` and three line feeds. */
const COPY_END = Buffer.from('\\.\n\n\n');
/** How far into a chunk what its border has cut can reach, in bytes. */
const BORDER_BYTES = 64;
/** Until this version pg_dump writes each row as a chunk of its own. */
const NEWEST_ROW_CHUNKS = 18;

/** What was shown of an archive that is complete. */
export interface ArchiveSummary {
  readonly toc: ArchiveToc;
  readonly largeObjects: number;
  /** Rows by `schema.table`, of the tables whose rows could be counted. */
  readonly rows: ReadonlyMap<string, number>;
}

/**
 * Follows a custom archive as it passes, without copying it: the table of contents, then the block of each
 * entry that has data, down to its end. Its format is that of `pg_backup_custom.c` (`_StartData`,
 * `_CustomWriteFunc`, `_StartLOs`), uncompressed (`-Z0`).
 */
export class CustomArchiveReader {
  readonly #head = new TocReader('custom');
  #inHead = true;
  /** Bytes to pass over before the next thing begins. */
  #skip = 0;
  /** The beginning of what the last border has cut. */
  #piece: Buffer = Buffer.alloc(0);
  #expects: 'block' | 'chunk' | 'blob' = 'block';
  #block = { id: 0, kind: 0, chunks: 0, endsCopy: false };
  readonly #missing = new Set<number>();
  #largeObjects = 0;
  readonly #rows = new Map<string, number>();

  /** @throws BackupError `corrupt` when this cannot be part of a complete archive */
  take(chunk: Buffer): void {
    let at = this.#skip;
    if (this.#inHead) {
      at = this.#takeHead(chunk);
    } else if (this.#piece.length > 0) {
      const joined = Buffer.concat([this.#piece, chunk.subarray(0, BORDER_BYTES)]);
      const end = this.#parse(joined, 0);
      if (chunk.length <= BORDER_BYTES) {
        this.#keep(joined, end);
        return;
      }
      at = end - this.#piece.length;
    }
    this.#keep(chunk, this.#parse(chunk, at));
  }

  /** @throws BackupError `incomplete` when the archive ended early */
  end(): ArchiveSummary {
    const { toc } = this.#head;
    if (toc === undefined) throw incomplete('its table of contents is cut off');
    if (this.#expects !== 'block' || this.#skip > 0 || this.#piece.length > 0) {
      throw incomplete(`the data of ${this.#nameOf(this.#block.id)} is cut off`);
    }
    const [missing] = this.#missing;
    if (missing !== undefined) throw incomplete(`the data of ${this.#nameOf(missing)} is missing`);
    return { toc, largeObjects: this.#largeObjects, rows: this.#rows };
  }

  #takeHead(chunk: Buffer): number {
    const at = this.#head.take(chunk);
    const { toc } = this.#head;
    this.#inHead = toc === undefined;
    for (const id of toc?.withData.keys() ?? []) this.#missing.add(id);
    return at;
  }

  #keep(bytes: Buffer, at: number): void {
    this.#skip = Math.max(0, at - bytes.length);
    this.#piece = Buffer.from(bytes.subarray(at));
  }

  /** @returns where the next thing begins, which may be beyond these bytes, or what is cut off */
  #parse(bytes: Buffer, start: number): number {
    let at = start;
    while (at < bytes.length) {
      const before = at;
      if (this.#expects === 'chunk') at = this.#parseChunks(bytes, at);
      else if (this.#expects === 'blob') at = this.#parseBlob(bytes, at);
      else at = this.#parseBlock(bytes, at);
      if (at === before) break;
    }
    return at;
  }

  #parseBlock(bytes: Buffer, at: number): number {
    if (at + 1 + INTEGER_BYTES > bytes.length) return at;
    const kind = bytes.readUInt8(at);
    const id = readInteger(bytes, at + 1);
    if (kind !== BLOCK_DATA && kind !== BLOCK_BLOBS) throw corrupt(`a block is of the kind ${kind}`);
    if (!this.#missing.delete(id)) throw corrupt(`a block for ${this.#nameOf(id)} came unexpected`);
    this.#block = { id, kind, chunks: 0, endsCopy: false };
    this.#expects = kind === BLOCK_DATA ? 'chunk' : 'blob';
    return at + 1 + INTEGER_BYTES;
  }

  /** The number of a large object, or 0 after the last one. */
  #parseBlob(bytes: Buffer, at: number): number {
    if (at + INTEGER_BYTES > bytes.length) return at;
    // Numbers above 2^31 are written as negative integers.
    const isLast = bytes.readUInt32LE(at + 1) === 0;
    if (!isLast) this.#largeObjects += 1;
    this.#expects = isLast ? 'block' : 'chunk';
    return at + INTEGER_BYTES;
  }

  /** Passes once for each row of the database. */
  #parseChunks(bytes: Buffer, start: number): number {
    const { length } = bytes;
    const block = this.#block;
    let at = start;
    while (at + INTEGER_BYTES <= length) {
      const size = bytes.readUInt32LE(at + 1);
      if (bytes[at] !== 0) throw corrupt(`a piece of ${this.#nameOf(block.id)} has a negative length`);
      if (size === COPY_END.length) {
        if (at + INTEGER_BYTES + size > length) return at;
        const from = at + INTEGER_BYTES;
        block.endsCopy = bytes[from] === COPY_END[0] && COPY_END.compare(bytes, from, from + size) === 0;
      } else if (size === 0) {
        this.#endChunks();
        return at + INTEGER_BYTES;
      } else {
        block.endsCopy = false;
      }
      block.chunks += 1;
      at += INTEGER_BYTES + size;
    }
    return at;
  }

  #endChunks(): void {
    const { id, kind, chunks, endsCopy } = this.#block;
    this.#expects = kind === BLOCK_DATA ? 'block' : 'blob';
    const entry = this.#head.toc?.withData.get(id);
    if (entry?.kind !== 'TABLE DATA' || !endsCopy) return;
    const writesRowByRow = Number.parseInt(this.#head.toc?.toolVersion ?? '', 10) <= NEWEST_ROW_CHUNKS;
    if (writesRowByRow) this.#rows.set(entry.name, chunks - 1);
  }

  #nameOf(id: number): string {
    const entry = this.#head.toc?.withData.get(id);
    return entry === undefined ? `entry ${id}` : `${entry.kind} ${entry.name}`;
  }
}

/** A sign and a magnitude, the lowest byte first. */
function readInteger(bytes: Buffer, at: number): number {
  const magnitude = bytes.readUInt32LE(at + 1);
  return bytes[at] === 0 ? magnitude : -magnitude;
}

function incomplete(why: string): BackupError {
  return new BackupError('incomplete', `The archive of pg_dump is not complete: ${why}`);
}

function corrupt(why: string): BackupError {
  return new BackupError('corrupt', `The archive of pg_dump is damaged: ${why}`);
}
