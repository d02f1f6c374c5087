/** A word of a SQL statement, without its comments. */
export interface Token {
  /** `mark`: a single other character. */
  readonly kind: 'word' | 'name' | 'string' | 'mark';
  /** A word in capitals, a name or string without its quotes, else the character. */
  readonly text: string;
  /** The same as it is written, in UTF-8. */
  readonly written: string;
  /** Where it stands in the statement, in bytes. */
  readonly start: number;
  readonly end: number;
}

/** How the session reads strings and quotes. */
export interface QuoteRules {
  readonly backslashEscapes: boolean;
  readonly ansiQuotes: boolean;
}

/**
 * The tokens of a whole statement, one after the other. What stands in a version comment counts, its marks
 * and every other comment do not.
 * @param text the statement's bytes as latin1, one character per byte
 */
export function* tokensOf(text: string, rules: QuoteRules): Generator<Token, void> {
  let at = 0;
  while (at < text.length) {
    const blank = blankLength(text, at);
    if (blank > 0) {
      at += blank;
      continue;
    }
    const token = readToken(text, at, rules);
    yield token;
    at = token.end;
  }
}

const BLANK = /\s+|\/\*M?!\d*|\*\/|\/\*[\s\S]*?(?:\*\/|$)|#[^\n]*|--(?=\s|$)[^\n]*/y;
const WORD = /[\w$\x80-\xff]+/y;

function blankLength(text: string, at: number): number {
  return lengthOf(BLANK, text, at);
}

function readToken(text: string, start: number, rules: QuoteRules): Token {
  const first = text.charAt(start);
  if (first === '`' || first === '"' || first === "'") return readQuoted(text, start, first, rules);
  const length = lengthOf(WORD, text, start);
  const end = start + Math.max(length, 1);
  const written = decoded(text.slice(start, end));
  if (length === 0) return { kind: 'mark', text: first, written, start, end };
  return { kind: 'word', text: written.toUpperCase(), written, start, end };
}

function readQuoted(text: string, start: number, quote: '`' | '"' | "'", rules: QuoteRules): Token {
  const isName = quote === '`' || (quote === '"' && rules.ansiQuotes);
  const escapes = rules.backslashEscapes && !isName;
  let at = start + 1;
  let content = '';
  while (at < text.length) {
    const character = text.charAt(at);
    if (character === '\\' && escapes) {
      content += text.charAt(at + 1);
      at += 2;
    } else if (character !== quote) {
      content += character;
      at += 1;
    } else if (text.charAt(at + 1) === quote) {
      content += quote;
      at += 2;
    } else break;
  }
  const written = decoded(content);
  const end = Math.min(at + 1, text.length);
  return { kind: isName ? 'name' : 'string', text: written, written, start, end };
}

function decoded(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

function lengthOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0].length ?? 0;
}
