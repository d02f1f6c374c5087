import { BackupError } from '../../errors.ts';

/** A piece of a dump's text, in the order of the text. */
export type Piece =
  /** White space between statements. */
  | { readonly kind: 'gap'; readonly bytes: Buffer }
  /** A comment between statements, without its end of line. */
  | { readonly kind: 'comment'; readonly bytes: Buffer }
  /** A line that tells the client what ends a statement from now on. */
  | { readonly kind: 'delimiter'; readonly bytes: Buffer }
  /** Some bytes of a statement. */
  | { readonly kind: 'part'; readonly bytes: Buffer }
  /** What ends the statement. */
  | { readonly kind: 'end'; readonly bytes: Buffer };

/** Where the text is between two bytes. */
type Place = 'between' | 'plain' | 'single' | 'double' | 'backtick' | 'line' | 'block';

const NEWLINE = 10;
const DOUBLE = 34;
const HASH = 35;
const SINGLE = 39;
const STAR = 42;
const DASH = 45;
const SLASH = 47;
const BACKSLASH = 92;
const BACKTICK = 96;

/** Bytes that must be there to tell what a text begins with: `/*M!999999`, `DELIMITER `. */
const LOOKAHEAD = 10;
/** A line that sets the delimiter is not longer, in bytes. */
const MAX_DELIMITER_LINE = 1024;
/** A comment between statements is not longer, in bytes. */
const MAX_COMMENT_BYTES = 1024 * 1024;

/**
 * Cuts the text of a dump into statements as the clients `mariadb` and `mysql` do in binary mode (their
 * `add_line`): strings with backslash escapes, quoted names, three kinds of comments, version comments whose
 * content counts, and the client's own command DELIMITER. Chunks may be cut anywhere. The bytes of
 * statements are given out as they came, without a copy.
 */
export class StatementSplitter {
  /** Off while the session's sql_mode has NO_BACKSLASH_ESCAPES. */
  backslashEscapes = true;
  /** On while the session's sql_mode has ANSI_QUOTES: names in double quotes have no escapes. */
  ansiQuotes = false;
  #place: Place = 'between';
  #delimiter: Buffer = Buffer.from(';');
  #carry: Buffer = Buffer.alloc(0);
  /** The next byte was escaped by the last one. */
  #escaped = false;
  #atLineStart = true;
  /** The last byte may be the first half of a comment's end. */
  #starBefore = false;
  readonly #interesting = new Uint8Array(256);

  constructor() {
    this.#use(this.#delimiter);
  }

  /** True when the last statement has not ended. */
  get isInStatement(): boolean {
    return this.#place !== 'between';
  }

  /** To be read to its end before the next call: a statement may change how what follows is read. */
  *split(chunk: Buffer): Generator<Piece, void> {
    yield* this.#read(this.#carry.length === 0 ? chunk : Buffer.concat([this.#carry, chunk]), false);
  }

  /** The end of the text: what was held back. */
  *end(): Generator<Piece, void> {
    yield* this.#read(this.#carry, true);
  }

  *#read(bytes: Buffer, isLast: boolean): Generator<Piece, void> {
    this.#carry = Buffer.alloc(0);
    let at = 0;
    while (at < bytes.length) {
      const before = at;
      if (this.#place === 'between') {
        const gap = this.#gap(bytes, at, isLast);
        if (gap === undefined) {
          if (bytes.length - at > MAX_COMMENT_BYTES) throw tooLong();
          break;
        }
        at += gap.length;
        if (gap.piece !== undefined) yield gap.piece;
        continue;
      }
      const { to, ended, waits } = this.#statement(bytes, at, isLast);
      at = to;
      if (to > before) yield { kind: 'part', bytes: bytes.subarray(before, to) };
      if (ended) {
        const end = bytes.subarray(at, at + this.#delimiter.length);
        at += end.length;
        this.#place = 'between';
        this.#atLineStart = false;
        yield { kind: 'end', bytes: end };
      }
      if (waits) break;
    }
    this.#carry = Buffer.from(bytes.subarray(at));
  }

  /** One piece of what lies between statements; undefined: more bytes must come to tell. */
  #gap(bytes: Buffer, at: number, isLast: boolean): { length: number; piece?: Piece } | undefined {
    let to = at;
    while (to < bytes.length && isSpace(bytes[to])) {
      if (bytes[to] === NEWLINE) this.#atLineStart = true;
      to += 1;
    }
    if (to > at) return { length: to - at, piece: { kind: 'gap', bytes: bytes.subarray(at, to) } };
    const rest = bytes.subarray(at);
    if (rest.length < LOOKAHEAD && !isLast) return undefined;
    const comment = commentLength(rest, isLast);
    if (comment === 'unknown') return undefined;
    if (comment !== 0) {
      return { length: comment, piece: { kind: 'comment', bytes: rest.subarray(0, comment) } };
    }
    if (this.#atLineStart && isDelimiterLine(rest)) return this.#delimiterLine(rest, isLast);
    if (startsWith(rest, 0, this.#delimiter)) return { length: this.#delimiter.length };
    this.#place = 'plain';
    return { length: 0 };
  }

  #delimiterLine(rest: Buffer, isLast: boolean): { length: number; piece: Piece } | undefined {
    const newline = rest.indexOf(NEWLINE);
    if (newline === -1 && !isLast && rest.length < MAX_DELIMITER_LINE) return undefined;
    const line = rest.subarray(0, newline === -1 ? rest.length : newline);
    const [, word = ''] = line.toString('latin1').trim().split(/\s+/);
    const text = /^(["'`])(.*)\1$/s.exec(word)?.[2] ?? word;
    if (text !== '') this.#use(Buffer.from(text, 'latin1'));
    return { length: line.length, piece: { kind: 'delimiter', bytes: line } };
  }

  /** Follows a statement: up to its delimiter (`ended`), or as far as the bytes tell. */
  #statement(bytes: Buffer, from: number, isLast: boolean): { to: number; ended: boolean; waits: boolean } {
    let at = from;
    if (this.#escaped) {
      this.#escaped = false;
      at += 1;
    }
    while (at < bytes.length) {
      if (this.#place !== 'plain') {
        at = this.#skip(bytes, at);
        continue;
      }
      const interesting = this.#interesting;
      while (at < bytes.length && interesting[bytes[at] ?? 0] === 0) at += 1;
      if (at >= bytes.length) break;
      if (bytes.length - at < LOOKAHEAD && !isLast) return { to: at, ended: false, waits: true };
      const byte = bytes[at];
      if (byte === BACKSLASH && this.backslashEscapes) at += 2;
      else if (startsWith(bytes, at, this.#delimiter)) return { to: at, ended: true, waits: false };
      else at += this.#enter(bytes, at);
    }
    if (at > bytes.length) this.#escaped = true;
    return { to: Math.min(at, bytes.length), ended: false, waits: false };
  }

  /** What begins in the plain text of a statement; how many bytes are done with. */
  #enter(bytes: Buffer, at: number): number {
    const byte = bytes[at];
    if (byte === SINGLE) this.#place = 'single';
    else if (byte === DOUBLE) this.#place = 'double';
    else if (byte === BACKTICK) this.#place = 'backtick';
    else if (isLineComment(bytes, at)) this.#place = 'line';
    else if (isBlockComment(bytes, at)) {
      this.#place = 'block';
      return 2;
    }
    return 1;
  }

  /** Goes on to behind the end of a string, name or comment, or to the end of the bytes (or one behind). */
  #skip(bytes: Buffer, from: number): number {
    switch (this.#place) {
      case 'line':
        return this.#leave(bytes.indexOf(NEWLINE, from), 1, bytes.length);
      case 'block':
        return this.#skipBlock(bytes, from);
      case 'backtick':
        return this.#leave(bytes.indexOf(BACKTICK, from), 1, bytes.length);
      case 'single':
        return this.#skipString(bytes, from, SINGLE, this.backslashEscapes);
      default:
        return this.#skipString(bytes, from, DOUBLE, this.backslashEscapes && !this.ansiQuotes);
    }
  }

  #skipString(bytes: Buffer, from: number, quote: number, escapes: boolean): number {
    if (!escapes) return this.#leave(bytes.indexOf(quote, from), 1, bytes.length);
    const length = bytes.length;
    let at = from;
    while (at < length) {
      const byte = bytes[at];
      if (byte === BACKSLASH) at += 2;
      else if (byte === quote) {
        this.#place = 'plain';
        return at + 1;
      } else at += 1;
    }
    return at;
  }

  #skipBlock(bytes: Buffer, from: number): number {
    if (this.#starBefore && bytes[from] === SLASH) {
      this.#starBefore = false;
      return this.#leave(from, 1, bytes.length);
    }
    const end = bytes.indexOf('*/', from, 'latin1');
    this.#starBefore = end === -1 && bytes[bytes.length - 1] === STAR;
    return this.#leave(end, 2, bytes.length);
  }

  #leave(found: number, length: number, none: number): number {
    if (found === -1) return none;
    this.#place = 'plain';
    return found + length;
  }

  #use(delimiter: Buffer): void {
    this.#delimiter = delimiter;
    this.#interesting.fill(0);
    for (const byte of [SINGLE, DOUBLE, BACKTICK, BACKSLASH, HASH, DASH, SLASH, delimiter[0] ?? 0]) {
      this.#interesting[byte] = 1;
    }
  }
}

/** Length of the comment that the bytes begin with; 0: none. */
function commentLength(rest: Buffer, isLast: boolean): number | 'unknown' {
  const isLine = rest[0] === HASH || (rest[0] === DASH && rest[1] === DASH);
  if (isLine) {
    const newline = rest.indexOf(NEWLINE);
    if (newline === -1) return isLast ? rest.length : 'unknown';
    return newline;
  }
  if (!isBlockComment(rest, 0) && !isSandboxMark(rest)) return 0;
  const end = rest.indexOf('*/', 2, 'latin1');
  if (end === -1) return isLast ? rest.length : 'unknown';
  return end + 2;
}

// `\- enable the sandbox mode`, in a comment for version 99.99.99: an error for clients that do not know it.
function isSandboxMark(rest: Buffer): boolean {
  return /^\/\*M?!999999/.test(rest.subarray(0, LOOKAHEAD).toString('latin1'));
}

function isLineComment(bytes: Buffer, at: number): boolean {
  if (bytes[at] === HASH) return true;
  if (bytes[at] !== DASH || bytes[at + 1] !== DASH) return false;
  const next = bytes[at + 2];
  return next === undefined || isSpace(next);
}

/** A plain comment: not `/*!` and `/*M!`, whose content counts. */
function isBlockComment(bytes: Buffer, at: number): boolean {
  if (bytes[at] !== SLASH || bytes[at + 1] !== STAR) return false;
  const [next, afterNext] = [bytes[at + 2], bytes[at + 3]];
  return next !== 33 && !(next === 77 && afterNext === 33);
}

function isDelimiterLine(rest: Buffer): boolean {
  return /^delimiter[ \t]/i.test(rest.subarray(0, LOOKAHEAD).toString('latin1'));
}

function startsWith(bytes: Buffer, at: number, prefix: Buffer): boolean {
  for (let index = 0; index < prefix.length; index++) {
    if (bytes[at + index] !== prefix[index]) return false;
  }
  return true;
}

function isSpace(byte: number | undefined): boolean {
  return byte === 32 || (byte !== undefined && byte >= 9 && byte <= 13);
}

function tooLong(): BackupError {
  return new BackupError('corrupt', `The dump has a comment of more than ${MAX_COMMENT_BYTES} bytes`);
}
