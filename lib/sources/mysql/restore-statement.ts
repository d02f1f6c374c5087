import type { Token } from './restore-tokens.ts';

/** What a database holds, as `SHOW CREATE` calls it. */
export const OBJECT_KINDS = [
  'table',
  'sequence',
  'view',
  'trigger',
  'procedure',
  'function',
  'package',
  'package body',
  'event',
] as const;

export type ObjectKind = (typeof OBJECT_KINDS)[number];

/** Bytes of a statement. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

export interface Creation {
  readonly does: 'create';
  readonly kind: ObjectKind;
  readonly name: string;
  /** Whom the object belongs to. */
  readonly definer?: Range;
  /** Of a trigger: `shop`. before its name and before its table's name, as MariaDB keeps them. */
  readonly qualifiers: readonly Range[];
}

/** What a statement of a dump does, as far as a restore must know. */
export type Meaning =
  | Creation
  | { readonly does: 'drop'; readonly kind: ObjectKind; readonly name: string }
  /** Changes the database's default character set; `name`: the database, when the statement names it. */
  | { readonly does: 'alter-database'; readonly name?: Range }
  /** Leaves the database, or makes one. */
  | { readonly does: 'leave'; readonly words: string }
  | { readonly does: 'set' }
  /** Locks tables, or lets them go. */
  | { readonly does: 'lock' }
  | { readonly does: 'other' };

/** A head longer than this many tokens is not one of a dump. */
const MAX_HEAD_TOKENS = 80;
const OTHER: Meaning = { does: 'other' };

/** Reads the head of a statement. */
export function meaningOf(tokens: Iterable<Token>): Meaning {
  const head = new Head(tokens);
  const first = head.next();
  if (first?.kind !== 'word') return OTHER;
  switch (first.text) {
    case 'SET':
      return { does: 'set' };
    case 'LOCK':
    case 'UNLOCK':
      return { does: 'lock' };
    case 'USE':
      return { does: 'leave', words: 'USE' };
    case 'CREATE':
      return meaningOfCreate(head);
    case 'DROP':
      return meaningOfDrop(head);
    case 'ALTER':
      return meaningOfAlter(head);
    default:
      return OTHER;
  }
}

function meaningOfCreate(head: Head): Meaning {
  let definer: Range | undefined;
  for (let token = head.next(); token !== undefined; token = head.next()) {
    if (token.kind !== 'word') continue;
    if (token.text === 'DEFINER' && head.peek()?.text === '=') {
      head.next();
      definer = readUser(head);
      continue;
    }
    if (token.text === 'DATABASE' || token.text === 'SCHEMA')
      return { does: 'leave', words: `CREATE ${token.text}` };
    const kind = kindOf(token, head);
    if (kind === undefined) continue;
    const name = readName(head);
    if (name === undefined) return OTHER;
    const qualifiers = kind === 'trigger' ? [name.qualifier, readTableOfTrigger(head)] : [];
    return {
      does: 'create',
      kind,
      name: name.text,
      qualifiers: qualifiers.filter((range) => range !== undefined),
      ...(definer === undefined ? {} : { definer }),
    };
  }
  return OTHER;
}

function meaningOfDrop(head: Head): Meaning {
  const token = head.next();
  if (token?.kind !== 'word') return OTHER;
  if (token.text === 'DATABASE' || token.text === 'SCHEMA')
    return { does: 'leave', words: `DROP ${token.text}` };
  const kind = kindOf(token, head);
  const name = kind === undefined ? undefined : readName(head);
  return kind === undefined || name === undefined ? OTHER : { does: 'drop', kind, name: name.text };
}

function meaningOfAlter(head: Head): Meaning {
  const token = head.next();
  if (token?.text !== 'DATABASE' && token?.text !== 'SCHEMA') return OTHER;
  const name = head.peek();
  if (name?.kind !== 'name') return { does: 'alter-database' };
  return { does: 'alter-database', name: { start: name.start, end: name.end } };
}

function kindOf(token: Token, head: Head): ObjectKind | undefined {
  const word = token.text.toLowerCase();
  if (word === 'package' && head.peek()?.text === 'BODY') {
    head.next();
    return 'package body';
  }
  return OBJECT_KINDS.find((kind) => kind === word);
}

interface ObjectName {
  readonly text: string;
  /** `db`. before it. */
  readonly qualifier?: Range;
}

/** The name behind `IF [NOT] EXISTS`. */
function readName(head: Head): ObjectName | undefined {
  let token = head.next();
  while (token?.kind === 'word' && /^(IF|NOT|EXISTS)$/.test(token.text)) token = head.next();
  const first = token;
  if (head.peek()?.text === '.') {
    head.next();
    token = head.next();
  }
  if (first === undefined || token === undefined || (token.kind !== 'name' && token.kind !== 'word'))
    return undefined;
  const qualifier = first === token ? {} : { qualifier: { start: first.start, end: token.start } };
  return { text: token.written, ...qualifier };
}

/** `BEFORE INSERT ON shop.orders`: the qualifier of the table. */
function readTableOfTrigger(head: Head): Range | undefined {
  let token = head.next();
  while (token !== undefined && token.text !== 'ON') token = head.next();
  return token === undefined ? undefined : readName(head)?.qualifier;
}

/** `user`@`host`, `role`, CURRENT_USER or CURRENT_USER(). */
function readUser(head: Head): Range | undefined {
  const user = head.next();
  if (user === undefined) return undefined;
  let end = user.end;
  if (head.peek()?.text === '@') {
    head.next();
    end = head.next()?.end ?? end;
  } else if (head.peek()?.text === '(') {
    head.next();
    end = head.next()?.end ?? end;
  }
  return { start: user.start, end };
}

/** The first tokens of a statement, with a look at the one that comes. */
class Head {
  readonly #tokens: Iterator<Token>;
  #ahead: Token | undefined;
  #left = MAX_HEAD_TOKENS;

  constructor(tokens: Iterable<Token>) {
    this.#tokens = tokens[Symbol.iterator]();
  }

  peek(): Token | undefined {
    this.#ahead ??= this.#read();
    return this.#ahead;
  }

  next(): Token | undefined {
    const token = this.peek();
    this.#ahead = undefined;
    return token;
  }

  #read(): Token | undefined {
    if (this.#left-- <= 0) return undefined;
    const { done, value } = this.#tokens.next();
    return done === true ? undefined : value;
  }
}
