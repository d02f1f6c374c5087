import type { TableRows } from '../driver.ts';

const NEWLINE = 10;
const DOUBLE = 34;
const DOLLAR = 36;
const SINGLE = 39;
const STAR = 42;
const DASH = 45;
const DOT = 46;
const SLASH = 47;
const SEMICOLON = 59;
const BACKSLASH = 92;

/** Enough of a statement for the name of a table, in characters. */
const HEAD_LENGTH = 600;
/** What ends a statement that data follows. */
const FROM_STDIN = ' FROM stdin';
const COPY = /^\s*COPY ("(?:[^"]|"")*"|[^\s".(]+)\.("(?:[^"]|"")*"|[^\s".(]+) /;

/** Where the script is between two bytes. */
type Place =
  | 'plain'
  | 'string'
  | 'name'
  /** Between the dollars that begin a string. */
  | 'tag'
  | 'dollars'
  | 'line-comment'
  | 'comment'
  /** Behind a statement that data follows, on its line. */
  | 'before-data'
  | 'data';

/**
 * Counts the rows of each table in a script of pg_dump as it passes: the lines between `COPY … FROM stdin;` and `\.`.
 * What looks like these inside a function, a string or a comment is none. Chunks may be cut anywhere.
 */
export class CopyRowCounter {
  readonly #rows = new Map<string, number>();
  #place: Place = 'plain';
  /** The statement until now, without comments: its beginning and its end, one character for each byte. */
  #head = '';
  #tail = '';
  /** The last byte, and the one before it. */
  #last = 0;
  #secondLast = 0;
  /** Backslashes escape in the string that passes, or has just ended: another quote continues that. */
  #hasEscapes = false;
  #isEscaped = false;
  #depth = 0;
  #tag: number[] = [];
  #matched = 0;
  #table = '';
  #count = 0;
  /** The first bytes of a line of data. */
  #line: number[] = [];

  take(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#place === 'data') {
        at = this.#takeData(chunk, at);
      } else if (this.#place === 'string' && !this.#hasEscapes) {
        // Large objects are such strings, and long.
        const end = chunk.indexOf(SINGLE, at);
        if (end < 0) return;
        this.#takeByte(SINGLE);
        at = end + 1;
      } else {
        this.#takeByte(chunk[at] ?? 0);
        at += 1;
      }
    }
  }

  /** In the order in which their data came. */
  rows(): TableRows[] {
    return [...this.#rows].map(([name, rows]) => ({ name, rows }));
  }

  #takeByte(byte: number): void {
    switch (this.#place) {
      case 'plain':
        this.#takePlain(byte);
        break;
      case 'string':
        this.#takeString(byte);
        break;
      case 'name':
        this.#keep(byte);
        if (byte === DOUBLE) this.#place = 'plain';
        break;
      case 'tag':
        this.#takeTag(byte);
        break;
      case 'dollars':
        this.#takeDollars(byte);
        break;
      case 'line-comment':
        if (byte === NEWLINE) this.#place = 'plain';
        break;
      case 'comment':
        this.#takeComment(byte);
        break;
      case 'before-data':
        if (byte === NEWLINE) this.#place = 'data';
        break;
      case 'data':
        break;
    }
    this.#secondLast = this.#last;
    this.#last = byte;
  }

  #takePlain(byte: number): void {
    if (byte === SEMICOLON) this.#endStatement();
    else if (byte === DASH && this.#last === DASH) this.#beginComment('line-comment');
    else if (byte === STAR && this.#last === SLASH) this.#beginComment('comment');
    // A command for psql.
    else if (byte === BACKSLASH && this.#head.trim() === '') this.#place = 'line-comment';
    else {
      this.#keep(byte);
      if (byte === SINGLE) this.#beginString();
      else if (byte === DOUBLE) this.#place = 'name';
      else if (byte === DOLLAR && !isWordByte(this.#last)) {
        this.#place = 'tag';
        this.#tag = [DOLLAR];
      }
    }
  }

  #beginString(): void {
    this.#place = 'string';
    if (this.#last === SINGLE) return;
    const isMarked = this.#last === 69 || this.#last === 101;
    this.#hasEscapes = isMarked && !isWordByte(this.#secondLast);
    this.#isEscaped = false;
  }

  #takeString(byte: number): void {
    if (this.#isEscaped) this.#isEscaped = false;
    else if (byte === BACKSLASH && this.#hasEscapes) this.#isEscaped = true;
    else if (byte === SINGLE) this.#place = 'plain';
  }

  #takeTag(byte: number): void {
    this.#tag.push(byte);
    this.#matched = 0;
    if (byte === DOLLAR) this.#place = 'dollars';
    else if (!isWordByte(byte)) this.#place = 'plain';
  }

  #takeDollars(byte: number): void {
    if (byte === this.#tag[this.#matched]) this.#matched += 1;
    else this.#matched = byte === DOLLAR ? 1 : 0;
    if (this.#matched === this.#tag.length) this.#place = 'plain';
  }

  #beginComment(kind: 'line-comment' | 'comment'): void {
    this.#head = this.#head.slice(0, -1);
    this.#tail = this.#tail.slice(0, -1);
    this.#place = kind;
    this.#depth = 1;
  }

  #takeComment(byte: number): void {
    if (byte === STAR && this.#last === SLASH) this.#depth += 1;
    else if (byte === SLASH && this.#last === STAR) this.#depth -= 1;
    if (this.#depth === 0) this.#place = 'plain';
  }

  #keep(byte: number): void {
    const character = String.fromCharCode(byte);
    if (this.#head.length < HEAD_LENGTH) this.#head += character;
    this.#tail = (this.#tail + character).slice(-FROM_STDIN.length);
  }

  #endStatement(): void {
    const found = this.#tail === FROM_STDIN ? COPY.exec(this.#head) : null;
    if (found !== null) {
      const [, schema = '', table = ''] = found;
      this.#table = `${nameOf(schema)}.${nameOf(table)}`;
      this.#count = 0;
      this.#line = [];
      this.#place = 'before-data';
    }
    this.#head = '';
    this.#tail = '';
  }

  /** @returns behind the bytes that it took */
  #takeData(chunk: Buffer, from: number): number {
    let at = from;
    while (at < chunk.length) {
      const end = chunk.indexOf(NEWLINE, at);
      const to = end < 0 ? chunk.length : end;
      // The end is a line of two bytes: of a longer one it need not be known how it goes on.
      for (let byte = at; byte < to && this.#line.length < 3; byte += 1) this.#line.push(chunk[byte] ?? 0);
      if (end < 0) return chunk.length;
      const isEnd = this.#line.length === 2 && this.#line[0] === BACKSLASH && this.#line[1] === DOT;
      this.#line = [];
      at = end + 1;
      if (isEnd) {
        this.#rows.set(this.#table, this.#count);
        this.#place = 'plain';
        return at;
      }
      this.#count += 1;
    }
    return at;
  }
}

/** A letter, digit or underscore, or part of a character beyond ASCII. */
function isWordByte(byte: number): boolean {
  const isLetter = (byte >= 65 && byte <= 90) || (byte >= 97 && byte <= 122);
  return isLetter || (byte >= 48 && byte <= 57) || byte === 95 || byte >= 128;
}

function nameOf(written: string): string {
  const name = written.startsWith('"') ? written.slice(1, -1).replaceAll('""', '"') : written;
  return Buffer.from(name, 'latin1').toString('utf8');
}
