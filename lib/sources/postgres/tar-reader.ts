import { BackupError } from '../../errors.ts';
import { type ArchiveToc, TocReader } from './archive-toc.ts';

const BLOCK_BYTES = 512;
const TOC_FILE = 'toc.dat';
/** Lists the large objects; newer versions write several. */
const BLOBS_FILE = /^blobs.*\.toc$/;
/** What ends the data of a table: `\\.` and three line feeds. */
const COPY_END = Buffer.from('\\.\n\n\n');
const NEWLINE = 10;
const BLOB_FILE = /^blob_\d+\.dat$/;

/** What was shown of an archive that is complete. */
export interface TarSummary {
  readonly toc: ArchiveToc;
  readonly files: number;
  readonly largeObjects: number;
  /** Rows by `schema.table`, of the tables whose rows could be counted. */
  readonly rows: ReadonlyMap<string, number>;
}

/**
 * Follows a tar archive of pg_dump as it passes, without copying it: the table of contents is its first file,
 * the data of each of its entries is a file, and two empty blocks end it (`pg_backup_tar.c`).
 */
export class TarArchiveReader {
  readonly #head = new TocReader('tar');
  /** The beginning of a header that a border has cut. */
  #piece: Buffer = Buffer.alloc(0);
  /** The file that is passing now. */
  #file = { name: '', size: 0, padding: 0 };
  #emptyBlocks = 0;
  readonly #names = new Set<string>();
  #files = 0;
  #largeObjects = 0;
  readonly #countsRows: boolean;
  /** Line feeds in the file that is passing, and its last bytes. */
  #lines = 0;
  #end: Buffer = Buffer.alloc(0);
  /** Rows in each file with the data of a table. */
  readonly #rows = new Map<string, number>();

  constructor(countsRows = false) {
    this.#countsRows = countsRows;
  }

  /** @throws BackupError `corrupt` when this cannot be part of a complete archive */
  take(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#file.size > 0) at += this.#takeFile(chunk.subarray(at, at + this.#file.size));
      else if (this.#file.padding > 0) at += this.#takePadding(chunk.length - at);
      else at += this.#takeHeader(chunk.subarray(at, at + BLOCK_BYTES - this.#piece.length));
    }
  }

  /** @throws BackupError `incomplete` when the archive ended early */
  end(): TarSummary {
    const { toc } = this.#head;
    if (toc === undefined) throw incomplete('its table of contents is cut off');
    if (this.#file.size > 0 || this.#piece.length > 0) throw incomplete(`${this.#file.name} is cut off`);
    for (const { kind, name, file } of toc.withData.values()) {
      if (!this.#hasData(kind, file)) throw incomplete(`the data of ${kind} ${name} is missing`);
    }
    if (this.#emptyBlocks < 2) throw incomplete('its end is missing');
    return { toc, files: this.#files, largeObjects: this.#largeObjects, rows: this.#rowsOf(toc) };
  }

  #rowsOf(toc: ArchiveToc): ReadonlyMap<string, number> {
    const rows = new Map<string, number>();
    for (const { kind, name, file } of toc.withData.values()) {
      const count = kind === 'TABLE DATA' ? this.#rows.get(file) : undefined;
      if (count !== undefined) rows.set(name, count);
    }
    return rows;
  }

  #hasData(kind: string, file: string): boolean {
    if (kind === 'BLOBS') return [...this.#names].some((name) => BLOBS_FILE.test(name));
    return this.#names.has(file);
  }

  #takeFile(part: Buffer): number {
    if (this.#file.name === TOC_FILE) this.#head.take(part);
    else if (this.#countsRows) this.#countLines(part);
    this.#file.size -= part.length;
    return part.length;
  }

  #countLines(part: Buffer): void {
    for (let at = part.indexOf(NEWLINE); at >= 0; at = part.indexOf(NEWLINE, at + 1)) this.#lines += 1;
    this.#end = Buffer.concat([this.#end, part.subarray(-COPY_END.length)]).subarray(-COPY_END.length);
    if (part.length < this.#file.size || !this.#end.equals(COPY_END)) return;
    this.#rows.set(this.#file.name, this.#lines - 3);
  }

  #takePadding(present: number): number {
    const passed = Math.min(present, this.#file.padding);
    this.#file.padding -= passed;
    return passed;
  }

  #takeHeader(part: Buffer): number {
    const block = this.#piece.length === 0 ? part : Buffer.concat([this.#piece, part]);
    if (block.length < BLOCK_BYTES) {
      this.#piece = Buffer.from(block);
      return part.length;
    }
    this.#piece = Buffer.alloc(0);
    if (block.every((byte) => byte === 0)) this.#emptyBlocks += 1;
    else this.#begin(block);
    return part.length;
  }

  #begin(header: Buffer): void {
    if (this.#emptyBlocks > 0) throw corrupt('something follows its end');
    const name = header.toString('latin1', 0, 100).replace(/\0.*$/s, '');
    if (sumOf(header) !== octal(header.subarray(148, 156))) throw corrupt('the header of a file is wrong');
    if (this.#files === 0 && name !== TOC_FILE) throw corrupt(`it begins with ${name}`);
    const size = sizeOf(header);
    this.#file = { name, size, padding: (BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES };
    this.#files += 1;
    this.#lines = 0;
    this.#end = Buffer.alloc(0);
    // Large objects may be many, and their list names them.
    if (BLOB_FILE.test(name)) this.#largeObjects += 1;
    else this.#names.add(name);
  }
}

/** An octal number, or above 8 GiB a binary one whose first bit is set. */
function sizeOf(header: Buffer): number {
  const field = header.subarray(124, 136);
  if (field.readUInt8() !== 0x80) return octal(field);
  return Number(field.readBigUInt64BE(4));
}

function octal(field: Buffer): number {
  const digits = /^ *([0-7]+)/.exec(field.toString('latin1'))?.[1];
  if (digits === undefined) throw corrupt('the header of a file has no number');
  return Number.parseInt(digits, 8);
}

/** Of all bytes of the header, those of the sum itself counted as spaces. */
function sumOf(header: Buffer): number {
  return header.reduce((sum, byte, at) => sum + (at >= 148 && at < 156 ? 0x20 : byte), 0);
}

function incomplete(why: string): BackupError {
  return new BackupError('incomplete', `The tar archive of pg_dump is not complete: ${why}`);
}

function corrupt(why: string): BackupError {
  return new BackupError('corrupt', `The tar archive of pg_dump is damaged: ${why}`);
}
