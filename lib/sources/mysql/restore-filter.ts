import { BackupError } from '../../errors.ts';
import { FilterOutput, shownStatement } from './restore-output.ts';
import { type Piece, StatementSplitter } from './restore-splitter.ts';
import { SqlModeFollower } from './restore-sql-mode.ts';
import { type Meaning, meaningOf, type ObjectKind, type Range } from './restore-statement.ts';
import { type Token, tokensOf } from './restore-tokens.ts';
import { sequenceQualifiers } from './sequence-defaults.ts';

/** What is wanted of a dump, and what its session begins with. */
export interface FilterRules {
  /** The sql_mode of a new session of the server. */
  readonly sqlMode: string;
  /** The longest statement that the server takes, in bytes. */
  readonly maxStatementBytes: number;
  /** Objects belong to whoever restores, not to those who defined them. */
  readonly replaceDefiners: boolean;
  /** Events are wanted; absent: yes. */
  readonly keepsEvents?: boolean;
  /** Whether the rows of a table are wanted. */
  keepsRows(table: string): boolean;
}

/** Statements other than rows are looked at as a whole: they are not longer, in bytes. */
const MAX_DEFINITION_BYTES = 64 * 1024 * 1024;
/** Enough of a statement to tell the table that its rows go into, in bytes. */
const HEAD_BYTES = 2048;

/**
 * The text of a dump on its way into the client. Statements pass as they are, except that
 * - comments between them are left out, and so is the sandbox mark that older clients trip over;
 * - `ALTER DATABASE` loses the name of the database that was dumped: the one that is restored is meant;
 * - tables are not locked: nobody else has them, and a table whose default uses a sequence could not be filled;
 * - the default of a column that takes numbers from a sequence loses that name too;
 * - triggers lose it too, before their own name and their table's, and a `;` that is too much at their end;
 * - rows and events that are not wanted are left out, as whole statements;
 * - definers are replaced when the rules say so.
 * It keeps what the dump creates, to be compared with what the server has in the end.
 */
export class DumpFilter {
  readonly #rules: FilterRules;
  readonly #splitter = new StatementSplitter();
  readonly #mode: SqlModeFollower;
  readonly #created = new Map<ObjectKind, Set<string>>();
  readonly #output = new FilterOutput();
  readonly #viewsOfOriginal = new Set<string>();
  #original: string | undefined;
  /** Bytes of a statement that is not understood yet. */
  #parts: Buffer[] = [];
  #statementBytes = 0;
  /** The rest of the statement passes, or is dropped. */
  #decided: 'pass' | 'drop' | undefined;
  #head = '';
  #lastComment = '';

  constructor(rules: FilterRules) {
    this.#rules = rules;
    this.#mode = new SqlModeFollower(rules.sqlMode);
    this.#followMode();
  }

  /** Names of what the dump has created so far. */
  created(kind: ObjectKind): ReadonlySet<string> {
    return this.#created.get(kind) ?? new Set();
  }

  /** The database that was dumped, as the dump's head names it. */
  get original(): string | undefined {
    return this.#original;
  }

  /** Views whose text names that database: those over several databases, as the tools write them. */
  get viewsOfOriginal(): ReadonlySet<string> {
    return this.#viewsOfOriginal;
  }

  /** The statement that the client means by a line of its input, shortened. */
  statementAt(line: number): string | undefined {
    return this.#output.statementAt(line);
  }

  /** @throws BackupError when a statement cannot be let through */
  *push(chunk: Buffer): Generator<Buffer, void> {
    for (const piece of this.#splitter.split(chunk)) {
      this.#take(piece);
      yield* this.#output.full();
    }
  }

  /** @throws BackupError `incomplete` when the dump does not end as one that was finished */
  *end(): Generator<Buffer, void> {
    for (const piece of this.#splitter.end()) this.#take(piece);
    if (this.#splitter.isInStatement) {
      throw new BackupError('incomplete', 'The dump ends in the middle of a statement');
    }
    if (!/^-- Dump completed\b/.test(this.#lastComment)) {
      throw new BackupError(
        'incomplete',
        'The dump does not end with "-- Dump completed": the tool that wrote it was not done',
      );
    }
    yield* this.#output.rest();
  }

  #take({ kind, bytes }: Piece): void {
    if (kind === 'comment') this.#comment(bytes);
    else if (kind === 'part') this.#part(bytes);
    else if (kind === 'end') this.#endStatement(bytes);
    else {
      if (kind === 'delimiter') this.#lastComment = '';
      this.#output.add(bytes);
    }
  }

  #comment(bytes: Buffer): void {
    this.#lastComment = bytes.toString('utf8');
    const [, name] = /^-- Host: .*? {4}Database: (.*)$/s.exec(this.#lastComment) ?? [];
    this.#original ??= name?.trim();
    // The line numbers of the client's errors count on.
    this.#output.add(Buffer.from('\n'.repeat(this.#lastComment.split('\n').length - 1)));
  }

  #part(bytes: Buffer): void {
    this.#lastComment = '';
    this.#statementBytes += bytes.length;
    if (this.#decided === undefined) this.#parts.push(bytes);
    this.#requireSize(this.#rules.maxStatementBytes);
    if (this.#decided === 'pass') this.#output.add(bytes);
    if (this.#decided !== undefined) return;
    if (this.#statementBytes >= HEAD_BYTES) this.#decide();
  }

  /** Whether the statement is one of rows: these pass in pieces, and may be large. */
  #decide(): void {
    const head = headOf(this.#parts);
    const rows = ROWS.exec(head);
    if (rows === null) {
      this.#requireSize(MAX_DEFINITION_BYTES);
      return;
    }
    const table = Buffer.from(rows[1] ?? '', 'latin1')
      .toString('utf8')
      .replaceAll('``', '`');
    this.#decided = this.#rules.keepsRows(table) ? 'pass' : 'drop';
    this.#head = head;
    if (this.#decided === 'pass') for (const part of this.#parts) this.#output.add(part);
    this.#parts = [];
  }

  #endStatement(delimiter: Buffer): void {
    if (this.#decided === undefined) this.#decide();
    if (this.#decided === undefined) this.#definition(Buffer.concat(this.#parts));
    if (this.#decided !== 'drop') this.#output.endStatement(delimiter, this.#head);
    this.#parts = [];
    this.#decided = undefined;
    this.#statementBytes = 0;
  }

  #definition(bytes: Buffer): void {
    const text = bytes.toString('latin1');
    const meaning = meaningOf(tokensOf(text, this.#mode));
    this.#head = text.slice(0, HEAD_BYTES);
    if (meaning.does === 'leave') {
      throw new BackupError(
        'invalid-config',
        `The dump has a statement ${meaning.words}, so it is not the dump of one database: restore it with the client, by hand`,
      );
    }
    const isUnwanted = meaning.does === 'create' && meaning.kind === 'event' && !this.#keepsEvents;
    if (meaning.does === 'lock' || isUnwanted) {
      this.#decided = 'drop';
      return;
    }
    if (meaning.does === 'set') this.#mode.follow(text);
    if (meaning.does === 'set') this.#followMode();
    if (meaning.does === 'create') {
      this.#names(meaning.kind).add(meaning.name);
      if (meaning.kind === 'view' && this.#namesOriginal(text)) this.#viewsOfOriginal.add(meaning.name);
    }
    if (meaning.does === 'drop') this.#names(meaning.kind).delete(meaning.name);
    this.#output.add(replaced(bytes, this.#replacements(meaning, text)));
  }

  #replacements(meaning: Meaning, text: string): Replacement[] {
    if (meaning.does === 'alter-database')
      return meaning.name === undefined ? [] : [{ ...meaning.name, by: '' }];
    if (meaning.does !== 'create') return [];
    if (meaning.kind === 'table') {
      const original = this.#original;
      return original === undefined ? [] : sequenceQualifiers(text, original, this.#mode).map(nothing);
    }
    const definer =
      this.#rules.replaceDefiners && meaning.definer !== undefined
        ? [{ ...meaning.definer, by: 'CURRENT_USER' }]
        : [];
    const end = meaning.kind === 'trigger' ? strayEnd(text) : [];
    return [...definer, ...[...meaning.qualifiers, ...end].map(nothing)];
  }

  #namesOriginal(text: string): boolean {
    let before: Token | undefined;
    for (const token of tokensOf(text, this.#mode)) {
      if (token.text === '.' && before?.kind === 'name' && before.text === this.#original) return true;
      before = token;
    }
    return false;
  }

  get #keepsEvents(): boolean {
    return this.#rules.keepsEvents ?? true;
  }

  #names(kind: ObjectKind): Set<string> {
    const names = this.#created.get(kind) ?? new Set();
    this.#created.set(kind, names);
    return names;
  }

  #followMode(): void {
    this.#splitter.backslashEscapes = this.#mode.backslashEscapes;
    this.#splitter.ansiQuotes = this.#mode.ansiQuotes;
  }

  #requireSize(limit: number): void {
    if (this.#statementBytes <= limit) return;
    const head = shownStatement(this.#head === '' ? headOf(this.#parts) : this.#head);
    throw new BackupError(
      'invalid-config',
      `A statement of the dump has more than ${limit} bytes, the longest that the server takes: set its max_allowed_packet higher, at most 1 GiB. The statement begins: ${head}`,
    );
  }
}

interface Replacement extends Range {
  readonly by: string;
}

function nothing(range: Range): Replacement {
  return { ...range, by: '' };
}

/**
 * MySQL keeps the `;` behind a trigger that was made by one packet with other statements, and mysqldump writes
 * it before the end of its version comment, which no server takes back.
 */
function strayEnd(text: string): Range[] {
  const at = /^\/\*!\d+ CREATE\*\//.test(text) ? text.search(/;\s*\*\/\s*$/) : -1;
  return at === -1 ? [] : [{ start: at, end: at + 1 }];
}

const ROWS = /^(?:INSERT|REPLACE)\s+(?:\w+\s+)*?INTO\s+`((?:[^`]|``)*)`/i;

function headOf(parts: readonly Buffer[]): string {
  return Buffer.concat(parts.map((part) => part.subarray(0, HEAD_BYTES)))
    .subarray(0, HEAD_BYTES)
    .toString('latin1');
}

function replaced(bytes: Buffer, replacements: readonly Replacement[]): Buffer {
  if (replacements.length === 0) return bytes;
  const pieces: Buffer[] = [];
  let done = 0;
  for (const { start, end, by } of replacements) {
    pieces.push(bytes.subarray(done, start), Buffer.from(by));
    done = end;
  }
  return Buffer.concat([...pieces, bytes.subarray(done)]);
}
