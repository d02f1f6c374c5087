/** A piece of SQL that means one thing. */
interface Token {
  readonly kind: 'word' | 'quoted' | 'string' | 'other';
  readonly text: string;
}

/** One statement of a script that pg_dump or pg_dumpall wrote, without comments and the semicolon. */
export class Statement {
  readonly #tokens: readonly Token[];

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  /** Ready to be sent. */
  get text(): string {
    return this.#tokens
      .map(({ text }) => text)
      .join('')
      .trim();
  }

  /** Whether it begins with these keywords, which pg_dump writes in capitals: names are never so, unless quoted. */
  begins(...keywords: readonly string[]): boolean {
    const meaning = this.#meaning();
    return keywords.every((keyword, at) => meaning[at]?.kind === 'word' && meaning[at].text === keyword);
  }

  has(keyword: string): boolean {
    return this.#positionOf(keyword) >= 0;
  }

  /** Whether psql would find a command of its own in it, which no statement of these tools has. */
  get hasCommand(): boolean {
    return this.#tokens.some(({ kind, text }) => kind === 'other' && text.includes('\\'));
  }

  /** The name that follows the first occurrence of a keyword, as the server knows it. */
  nameAfter(keyword: string): string | undefined {
    const at = this.#positionOf(keyword);
    return at < 0 ? undefined : nameOf(this.#meaning()[at + 1]);
  }

  /** The same about something else: the name that follows the first occurrence of a keyword is replaced. */
  renamed(keyword: string, name: string): Statement {
    const token = this.#meaning()[this.#positionOf(keyword) + 1];
    const renamed: Token = { kind: 'quoted', text: quoteIdentifier(name) };
    return new Statement(this.#tokens.map((other) => (other === token ? renamed : other)));
  }

  /** The same, with the string after a keyword left out: for messages, when it is a secret. */
  withoutStrings(): string {
    return this.#tokens
      .map(({ kind, text }) => (kind === 'string' ? "'…'" : text))
      .join('')
      .trim();
  }

  #positionOf(keyword: string): number {
    return this.#meaning().findIndex(({ kind, text }) => kind === 'word' && text === keyword);
  }

  #meaning(): readonly Token[] {
    return this.#tokens.filter(({ kind, text }) => kind !== 'other' || text.trim() !== '');
  }
}

/** The statements of a script that pg_dump or pg_dumpall wrote; what is meant for psql is left out. */
export function statementsOf(script: string): Statement[] {
  const statements: Statement[] = [];
  let tokens: Token[] = [];
  const end = () => {
    if (tokens.some(({ text }) => text.trim() !== '')) statements.push(new Statement(tokens));
    tokens = [];
  };
  for (const token of tokensOf(script)) {
    if (token.text === ';') end();
    else tokens.push(token);
  }
  end();
  return statements;
}

export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A string of SQL, whatever `standard_conforming_strings` says. */
export function quoteLiteral(text: string): string {
  const quoted = `'${text.replaceAll("'", "''").replaceAll('\\', '\\\\')}'`;
  return text.includes('\\') ? ` E${quoted}` : quoted;
}

function nameOf(token: Token | undefined): string | undefined {
  if (token?.kind === 'quoted') return token.text.slice(1, -1).replaceAll('""', '"');
  return token?.kind === 'word' ? token.text : undefined;
}

/** Comments and the lines that begin with a backslash, then everything that has an end of its own. */
const LEFT_OUT = /--[^\n]*|\/\*[\s\S]*?\*\/|^\\[^\n]*$/my;
const SHAPES: readonly [Token['kind'], RegExp][] = [
  ['string', /E'(?:[^'\\]|''|\\[\s\S])*'/y],
  ['string', /'(?:[^']|'')*'/y],
  ['string', /\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$/y],
  ['quoted', /"(?:[^"]|"")*"/y],
  ['word', /[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*/y],
  ['other', /\s+/y],
];

function* tokensOf(script: string): Generator<Token> {
  for (let at = 0; at < script.length; ) {
    LEFT_OUT.lastIndex = at;
    const leftOut = LEFT_OUT.exec(script)?.[0];
    if (leftOut !== undefined) {
      at += leftOut.length;
      continue;
    }
    const token = shapeAt(script, at) ?? { kind: 'other', text: script.charAt(at) };
    at += token.text.length;
    yield token;
  }
}

function shapeAt(script: string, at: number): Token | undefined {
  for (const [kind, shape] of SHAPES) {
    shape.lastIndex = at;
    const text = shape.exec(script)?.[0];
    if (text !== undefined) return { kind, text };
  }
  return undefined;
}
