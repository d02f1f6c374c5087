import type { TableRows } from '../driver.ts';

const NEWLINE = 10;
const SINGLE = 39;
const OPEN = 40;
const SEMICOLON = 59;
const LETTER_V = 86;
const BACKSLASH = 92;
const BACKTICK = 96;

/** Enough of a line for the name of a table, in bytes. */
const HEAD_BYTES = 600;
const INSERT = /^(?:INSERT|REPLACE) +(?:IGNORE +)?INTO +`((?:[^`]|``)+)` /;
const CREATE = /^CREATE TABLE (?:IF NOT EXISTS )?`((?:[^`]|``)+)`/;
const DELIMITER = /^DELIMITER +(\S+)/;

/** Where the dump is between two bytes. */
type Place =
  /** At the beginning of a line, which is gathered until it tells what it is. */
  | 'head'
  /** Somewhere in a line of no interest. */
  | 'rest'
  /** Behind the table's name, before VALUES. */
  | 'columns'
  | 'column-name'
  | 'values'
  | 'string';

/**
 * Counts the rows of each table in a dump of mysqldump or mariadb-dump as it passes: the opening brackets of its
 * INSERT statements outside strings. Lines of functions, triggers and events are none, which stand between other
 * delimiters. Chunks may be cut anywhere.
 */
export class InsertRowCounter {
  readonly #rows = new Map<string, number>();
  #place: Place = 'head';
  #head: Buffer = Buffer.alloc(0);
  /** Statements end with a semicolon: between other delimiters are the bodies of programs. */
  #isPlain = true;
  #isEscaped = false;
  #table = '';
  #count = 0;

  take(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      switch (this.#place) {
        case 'head':
          at = this.#takeHead(chunk, at);
          break;
        case 'rest':
          at = this.#skipTo(chunk, at, NEWLINE, 'head');
          break;
        case 'columns':
          at = this.#takeColumns(chunk, at);
          break;
        case 'column-name':
          at = this.#skipTo(chunk, at, BACKTICK, 'columns');
          break;
        case 'values':
          at = this.#takeValues(chunk, at);
          break;
        case 'string':
          at = this.#takeString(chunk, at);
          break;
      }
    }
  }

  /** In the order in which the dump creates them. */
  rows(): TableRows[] {
    return [...this.#rows].map(([name, rows]) => ({ name, rows }));
  }

  #takeHead(chunk: Buffer, from: number): number {
    const newline = chunk.indexOf(NEWLINE, from);
    const end = newline < 0 ? chunk.length : newline;
    const to = Math.min(end, from + HEAD_BYTES - this.#head.length);
    this.#head = Buffer.concat([this.#head, chunk.subarray(from, to)]);
    if (to === chunk.length && this.#head.length < HEAD_BYTES) return to;
    const line = this.#head.toString('latin1');
    this.#head = Buffer.alloc(0);
    this.#place = 'rest';
    const insert = this.#isPlain ? INSERT.exec(line) : null;
    if (insert === null) {
      this.#understand(line);
      return to;
    }
    this.#table = nameOf(insert[1]);
    this.#count = 0;
    this.#place = 'columns';
    this.take(Buffer.from(line.slice(insert[0].length), 'latin1'));
    return to;
  }

  #understand(line: string): void {
    const delimiter = DELIMITER.exec(line)?.[1];
    if (delimiter !== undefined) this.#isPlain = delimiter === ';';
    const created = this.#isPlain ? CREATE.exec(line) : null;
    if (created !== null) this.#add(nameOf(created[1]), 0);
  }

  #takeColumns(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length; at += 1) {
      const byte = chunk[at];
      if (byte !== BACKTICK && byte !== LETTER_V) continue;
      this.#place = byte === BACKTICK ? 'column-name' : 'values';
      return at + 1;
    }
    return chunk.length;
  }

  #takeValues(chunk: Buffer, from: number): number {
    const { length } = chunk;
    for (let at = from; at < length; at += 1) {
      const byte = chunk[at] ?? 0;
      // Digits, commas and letters: nearly all.
      if (byte > SEMICOLON || (byte > OPEN && byte < SEMICOLON)) continue;
      if (byte === OPEN) {
        this.#count += 1;
      } else if (byte === SINGLE) {
        this.#place = 'string';
        return at + 1;
      } else if (byte === SEMICOLON) {
        this.#add(this.#table, this.#count);
        this.#place = 'rest';
        return at + 1;
      }
    }
    return length;
  }

  #takeString(chunk: Buffer, from: number): number {
    const { length } = chunk;
    let at = from;
    if (this.#isEscaped) at += 1;
    this.#isEscaped = false;
    while (at < length) {
      const byte = chunk[at];
      if (byte === BACKSLASH) at += 2;
      else if (byte === SINGLE) {
        this.#place = 'values';
        return at + 1;
      } else at += 1;
    }
    this.#isEscaped = at > length;
    return length;
  }

  #skipTo(chunk: Buffer, from: number, byte: number, place: Place): number {
    const at = chunk.indexOf(byte, from);
    if (at < 0) return chunk.length;
    this.#place = place;
    return at + 1;
  }

  #add(table: string, rows: number): void {
    this.#rows.set(table, (this.#rows.get(table) ?? 0) + rows);
  }
}

function nameOf(written = ''): string {
  return Buffer.from(written, 'latin1').toString('utf8').replaceAll('``', '`');
}
