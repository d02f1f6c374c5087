import { BackupError } from '../../errors.ts';

/** An object of an archive, as its table of contents names it. */
export interface ArchiveEntry {
  /** What a list for `pg_restore --use-list` names it by. */
  readonly dumpId: number;
  /** `TABLE`, `TABLE DATA`, `DATABASE PROPERTIES`, …: the words of pg_dump. */
  readonly kind: string;
  /** The object's name; of what belongs to a table `<table> <name>`. */
  readonly tag: string;
  /** Schema; empty when the object is in none. */
  readonly namespace: string;
  readonly owner: string;
  /** The statements that create it; empty for data. */
  readonly definition: string;
  /** Entries that it needs, by their dumpId. */
  readonly dependencies: readonly number[];
}

/** The head of an archive: what it holds, in the order in which it is restored. */
export interface Archive {
  /** Name of the database that was dumped. */
  readonly database: string;
  /** Version of the dumped server: `15.18 (Debian 15.18-0+deb12u1)`. */
  readonly serverVersion: string;
  /** Version of the pg_dump that wrote it. */
  readonly dumpVersion: string;
  /** The oldest major version of pg_restore that reads it. */
  readonly toolMajor: number;
  readonly entries: readonly ArchiveEntry[];
}

/** The format's minor versions (the major one is 1) and the first PostgreSQL that reads each. */
const TOOL_OF_VERSION = new Map([
  [12, 9],
  [13, 10],
  [14, 12],
  [15, 16],
  [16, 17],
]);

const TAR_BLOCK_BYTES = 512;

/**
 * Reads the head of a `pg_dump` archive, custom or tar, as `src/bin/pg_dump/pg_backup_archiver.c` writes it
 * (`WriteHead`, `WriteToc`).
 * @param bytes the beginning of the archive
 * @returns undefined when the head is longer than `bytes`
 * @throws BackupError `corrupt` when it is no archive, `unavailable` when it is of an unknown version
 */
export function readArchive(bytes: Buffer, format: 'custom' | 'tar'): Archive | undefined {
  try {
    return readHead(new ArchiveReader(bytes, format === 'tar' ? TAR_BLOCK_BYTES : 0), format);
  } catch (error) {
    if (error === TOO_SHORT) return undefined;
    throw error;
  }
}

function readHead(reader: ArchiveReader, format: 'custom' | 'tar'): Archive {
  if (reader.text(5) !== 'PGDMP') throw damaged('it does not begin like an archive of pg_dump');
  const [major, minor] = [reader.byte(), reader.byte(), reader.byte()];
  const toolMajor = major === 1 ? TOOL_OF_VERSION.get(minor) : undefined;
  if (toolMajor === undefined) {
    throw new BackupError(
      'unavailable',
      `The dump has version ${major}.${minor} of pg_dump's archive format, which is not known here: update DBackup`,
    );
  }
  reader.integerBytes = sizeIn(reader.byte());
  reader.offsetBytes = sizeIn(reader.byte());
  reader.byte(); // the format again
  if (minor >= 15) reader.byte();
  else reader.integer(); // the compression
  for (let part = 0; part < 7; part++) reader.integer(); // when it was written
  const database = reader.string() ?? '';
  const serverVersion = reader.string() ?? '';
  const dumpVersion = reader.string() ?? '';
  const count = reader.integer();
  const entries: ArchiveEntry[] = [];
  while (entries.length < count) entries.push(readEntry(reader, minor, format));
  return { database, serverVersion, dumpVersion, toolMajor, entries };
}

function readEntry(reader: ArchiveReader, minor: number, format: 'custom' | 'tar'): ArchiveEntry {
  const dumpId = reader.integer();
  reader.integer(); // whether data follow
  reader.string(); // oid of the catalogue
  reader.string(); // oid of the object
  const tag = reader.string() ?? '';
  const kind = reader.string() ?? '';
  reader.integer(); // the section
  const definition = reader.string() ?? '';
  reader.string(); // how to drop it
  reader.string(); // how its data are copied
  const namespace = reader.string() ?? '';
  reader.string(); // tablespace
  if (minor >= 14) reader.string(); // table access method
  if (minor >= 16) reader.integer(); // kind of relation
  const owner = reader.string() ?? '';
  reader.string(); // whether it has oids
  const dependencies: number[] = [];
  for (let text = reader.string(); text !== undefined; text = reader.string()) {
    dependencies.push(Number(text));
  }
  if (format === 'tar')
    reader.string(); // the file with its data
  else reader.skip(1 + reader.offsetBytes); // where its data are
  return { dumpId, kind, tag, namespace, owner, definition, dependencies };
}

const TOO_SHORT = new Error('The head is longer');

class ArchiveReader {
  integerBytes = 4;
  offsetBytes = 8;
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  byte(): number {
    return this.#take(1)[0] ?? 0;
  }

  skip(length: number): void {
    this.#take(length);
  }

  text(length: number): string {
    return this.#take(length).toString('utf8');
  }

  /** A sign byte, and the magnitude with the lowest byte first. */
  integer(): number {
    const isNegative = this.byte() !== 0;
    const magnitude = this.#take(this.integerBytes).readUIntLE(0, Math.min(this.integerBytes, 6));
    return isNegative ? -magnitude : magnitude;
  }

  /** Its length in bytes before it; undefined for none. */
  string(): string | undefined {
    const length = this.integer();
    return length < 0 ? undefined : this.text(length);
  }

  #take(length: number): Buffer {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw TOO_SHORT;
    const part = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return part;
  }
}

/** How many bytes a number takes: what the machine had that dumped. */
function sizeIn(bytes: number): number {
  if (bytes < 1 || bytes > 8) throw damaged(`its numbers have ${bytes} bytes`);
  return bytes;
}

function damaged(why: string): BackupError {
  return new BackupError('corrupt', `The dump is damaged: ${why}`);
}
