import { BackupError } from '../../errors.ts';

/** The kinds of archives that have a table of contents, and their numbers in it. */
const FORMATS = { custom: 1, tar: 3 } as const;

export type ArchiveKind = keyof typeof FORMATS;

/** What the head of an archive tells of the data that has to follow it. */
export interface ArchiveToc {
  /** Of the format: `1.14`. */
  readonly version: string;
  /** Of the server and of the pg_dump that wrote it: `15.18 (Debian 15.18-0+deb12u1)`. */
  readonly serverVersion: string;
  readonly toolVersion: string;
  readonly entries: number;
  readonly tables: number;
  /** The entries that must have a block of data, by their dump id. */
  readonly withData: ReadonlyMap<number, DataEntry>;
}

export interface DataEntry {
  /** `TABLE DATA`, `BLOBS`. */
  readonly kind: string;
  /** `public.orders`. */
  readonly name: string;
  /** Of a tar archive: the file with the data. */
  readonly file: string;
}

/** The versions of the format that are known here are 1.x (`pg_backup_archiver.h`). */
const OLDEST_MINOR = 14;
const NEWEST_MINOR = 16;
/** A longer name, or more entries, are not of this world. */
const MAX_NAME_BYTES = 64 * 1024;
const MAX_ENTRIES = 0x7fff_ffff;

const NOTHING = Buffer.alloc(0);

/**
 * Reads head and table of contents of an archive as `pg_backup_archiver.c` writes them (`WriteHead`,
 * `WriteToc`, `WriteStr`, `WriteInt`), keeping nothing but what the data that follows is compared with.
 */
export class TocReader {
  readonly #demand: Demand;
  /** Bytes that are read next; negative: passed over. */
  #wanted = 0;
  #piece = NOTHING;
  #toc: ArchiveToc | undefined;

  constructor(kind: ArchiveKind) {
    this.#demand = readToc(kind);
    this.#ask(NOTHING);
  }

  /** Undefined until it has been read. */
  get toc(): ArchiveToc | undefined {
    return this.#toc;
  }

  /**
   * @returns where in these bytes it ends, or their length
   * @throws BackupError `corrupt`, or `unavailable` when the version is not known
   */
  take(bytes: Buffer, start = 0): number {
    let at = start;
    while (this.#toc === undefined && at < bytes.length) {
      const count = Math.min(bytes.length - at, Math.abs(this.#wanted) - this.#piece.length);
      if (this.#wanted < 0) this.#pass(count);
      else this.#read(bytes.subarray(at, at + count));
      at += count;
    }
    return at;
  }

  #pass(count: number): void {
    this.#wanted += count;
    if (this.#wanted === 0) this.#ask(NOTHING);
  }

  #read(part: Buffer): void {
    const whole = this.#piece.length === 0 ? part : Buffer.concat([this.#piece, part]);
    const isWhole = whole.length === this.#wanted;
    this.#piece = isWhole ? NOTHING : Buffer.from(whole);
    if (isWhole) this.#ask(whole);
  }

  #ask(answer: Buffer): void {
    const { done, value } = this.#demand.next(answer);
    if (done) this.#toc = value;
    else this.#wanted = value;
  }
}

/** Asks for the next bytes: a positive number takes so many, to be read at once, a negative one passes them. */
type Demand = Generator<number, ArchiveToc, Buffer>;

function* readToc(format: ArchiveKind): Demand {
  const magic = yield* text(5);
  if (magic !== 'PGDMP') throw corrupt('it does not begin with PGDMP');
  const [major, minor] = [yield* byte(), yield* byte()];
  if (major !== 1 || minor < OLDEST_MINOR || minor > NEWEST_MINOR) {
    throw new BackupError(
      'unavailable',
      `This pg_dump writes archives of version ${major}.${minor}, which is not known here: ` +
        'use an older pg_dump, or the plain format',
    );
  }
  yield -1; // revision of the version
  const integerBytes = yield* byte();
  const offsetBytes = yield* byte();
  if (integerBytes !== 4) throw corrupt(`its integers have ${integerBytes} bytes`);
  if ((yield* byte()) !== FORMATS[format]) throw corrupt(`it is not of the ${format} format`);
  if (minor >= 15) yield -1;
  else yield* integer(); // compression
  for (let part = 0; part < 7; part += 1) yield* integer(); // time of creation
  yield* passString(); // database
  const serverVersion = yield* string();
  const toolVersion = yield* string();
  const entries = yield* integer();
  if (entries < 0 || entries > MAX_ENTRIES) throw corrupt(`it has ${entries} entries`);
  const withData = new Map<number, DataEntry>();
  let tables = 0;
  for (let entry = 0; entry < entries; entry += 1) {
    const { id, hasData, ...found } = yield* readEntry(minor);
    if (format === 'custom') yield -(1 + offsetBytes);
    const file = format === 'tar' ? yield* string() : '';
    if (found.kind === 'TABLE') tables += 1;
    if (hasData) withData.set(id, { ...found, file });
  }
  const version = `${major}.${minor}`;
  return { version, serverVersion, toolVersion, entries, tables, withData };
}

function* readEntry(minor: number) {
  const id = yield* integer();
  if (id <= 0) throw corrupt(`the id of an entry is ${id}`);
  const hasData = (yield* integer()) === 1;
  yield* passString(); // oid of the catalog's table
  yield* passString(); // oid of the object
  const tag = yield* string();
  const kind = yield* string();
  yield* integer(); // section
  for (let part = 0; part < 3; part += 1) yield* passString(); // definition, drop, copy
  const namespace = yield* string();
  yield* passString(); // tablespace
  yield* passString(); // table access method
  if (minor >= 16) yield* integer(); // kind of relation
  yield* passString(); // owner
  yield* passString(); // with oids
  while (yield* passString()); // dependencies, until one that is none
  return { id, hasData, kind, name: namespace === '' ? tag : `${namespace}.${tag}` };
}

function* byte(): Generator<number, number, Buffer> {
  return (yield 1).readUInt8();
}

/** A sign and a magnitude of four bytes, the lowest first. */
function* integer(): Generator<number, number, Buffer> {
  const bytes = yield 5;
  const magnitude = bytes.readUInt32LE(1);
  return bytes[0] === 0 ? magnitude : -magnitude;
}

function* text(bytes: number): Generator<number, string, Buffer> {
  return (yield bytes).toString('utf8');
}

function* string(): Generator<number, string, Buffer> {
  const bytes = yield* integer();
  if (bytes > MAX_NAME_BYTES) throw corrupt(`a name has ${bytes} bytes`);
  return bytes > 0 ? yield* text(bytes) : '';
}

/** @returns false when there is none, which is not the same as an empty one */
function* passString(): Generator<number, boolean, Buffer> {
  const bytes = yield* integer();
  if (bytes > 0) yield -bytes;
  return bytes >= 0;
}

function corrupt(why: string): BackupError {
  return new BackupError('corrupt', `pg_dump wrote something that is no archive: ${why}`);
}
