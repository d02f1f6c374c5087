import { BackupError } from '../errors.ts';
import type { ScratchAnswer } from '../sources/scratch.ts';

/** What a restored database must answer. */
export interface Assertion {
  /** Reads one value: `SELECT count(*) FROM orders`. */
  readonly sql: string;
  /** The value as a text, or a comparison with a number: `0`, `>= 1000`, `!= 0`. */
  readonly expect: string;
  /** Only of this database; absent: of every one that is restored. */
  readonly database?: string;
}

/** Between the statement and what is expected of it. */
const ARROW = ' => ';
const IN_DATABASE = /^\[([^\]]+)\]\s*/;
const COMPARISON = /^(<=|>=|<|>|=|!=)\s*(.+)$/s;

/**
 * Reads `SELECT count(*) FROM orders => >= 1000`, which may begin with a database in brackets: `[shop] SELECT …`.
 * @throws BackupError `invalid-config`
 */
export function parseAssertion(text: string): Assertion {
  const arrow = text.lastIndexOf(ARROW);
  const found = IN_DATABASE.exec(text.trimStart());
  const begin = text.length - text.trimStart().length + (found?.[0].length ?? 0);
  const sql = arrow < 0 ? '' : text.slice(begin, arrow).trim();
  const expect = text.slice(arrow + ARROW.length).trim();
  const problem = problemOf(sql, expect);
  if (problem !== undefined) {
    throw new BackupError(
      'invalid-config',
      `The assertion ${JSON.stringify(text)} ${problem}: write SELECT count(*) FROM orders => >= 1000`,
    );
  }
  return { sql, expect, ...(found === null ? {} : { database: found[1] ?? '' }) };
}

/** The statement and what is expected, always written the same way. */
export function assertionText({ sql, expect }: Assertion): string {
  return `${sql}${ARROW}${expect}`;
}

/** @returns what is wrong with an answer, undefined when it is as expected */
export function complaintAbout({ sql, expect }: Assertion, answer: ScratchAnswer): string | undefined {
  if ('error' in answer) return `${sql} failed: ${answer.error.message}`;
  const { value } = answer;
  if (value === undefined) return `${sql} gave no row, expected ${expect}`;
  return holds(value ?? 'NULL', expect) ? undefined : `${sql} gave ${value ?? 'NULL'}, expected ${expect}`;
}

/** True when the statement itself is wrong, which says nothing about the data. */
export function isMisspelt(answer: ScratchAnswer): boolean {
  return (
    'error' in answer &&
    /syntax error|SQL syntax|unrecognized token|incomplete input|no statement|read.?only (transaction|database)/i.test(
      answer.error.message,
    )
  );
}

function problemOf(sql: string, expect: string): string | undefined {
  if (sql === '') return 'has no statement before =>';
  if (expect === '') return 'does not say what is expected';
  const [, sign, operand] = COMPARISON.exec(expect) ?? [];
  const isOrder = sign === '<' || sign === '<=' || sign === '>' || sign === '>=';
  if (isOrder && !isNumber(operand ?? '')) return `compares with ${operand}, which is no number`;
  return undefined;
}

function holds(value: string, expect: string): boolean {
  const [, sign = '=', operand = expect] = COMPARISON.exec(expect) ?? [];
  switch (sign) {
    case '=':
      return equal(value, operand);
    case '!=':
      return !equal(value, operand);
    default:
      return isNumber(value) && isInOrder(Number(value), sign, Number(operand));
  }
}

/** Numbers by their value: `10.0` is `10`. */
function equal(value: string, expected: string): boolean {
  if (isNumber(value) && isNumber(expected)) return value === expected || Number(value) === Number(expected);
  return value === expected;
}

function isInOrder(value: number, sign: string, than: number): boolean {
  switch (sign) {
    case '<':
      return value < than;
    case '<=':
      return value <= than;
    case '>':
      return value > than;
    default:
      return value >= than;
  }
}

function isNumber(text: string): boolean {
  return text.trim() !== '' && Number.isFinite(Number(text));
}
