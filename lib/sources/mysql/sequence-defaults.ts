import { type DefinitionSession, quoteName } from './definition-session.ts';
import type { Range } from './restore-statement.ts';
import { type QuoteRules, type Token, tokensOf } from './restore-tokens.ts';

const PLAIN: QuoteRules = { backslashEscapes: true, ansiQuotes: false };

/**
 * Where a definition names the database of a sequence, as MariaDB does in defaults (`nextval(`shop`.`ids`)`)
 * and nowhere else.
 * @param text bytes as latin1
 */
export function sequenceQualifiers(text: string, database: string, rules: QuoteRules): Range[] {
  if (!/nextval|lastval|setval/i.test(text)) return [];
  const found: Range[] = [];
  let before: Token[] = [];
  for (const token of tokensOf(text, rules)) {
    const [call, bracket, qualifier, dot] = before;
    const isQualified =
      call?.kind === 'word' &&
      /^(NEXTVAL|LASTVAL|SETVAL)$/.test(call.text) &&
      bracket?.text === '(' &&
      qualifier?.kind === 'name' &&
      qualifier.text === database &&
      dot?.text === '.';
    if (isQualified) found.push({ start: qualifier.start, end: token.start });
    before = [...before, token].slice(-4);
  }
  return found;
}

/**
 * Lets the defaults of moved tables take their numbers from the sequences that moved with them: a table that
 * gets another database goes on with the sequence of the old one.
 * @throws BackupError
 */
export async function adoptSequences(
  session: DefinitionSession,
  database: string,
  before: string,
): Promise<void> {
  if (session.session.flavour !== 'mariadb') return;
  const columns = await session.rows(
    `SELECT TABLE_NAME, COLUMN_NAME, COLUMN_DEFAULT FROM information_schema.COLUMNS
     WHERE TABLE_SCHEMA = ? AND COLUMN_DEFAULT LIKE '%val(%'`,
    [database],
  );
  const changes = new Map<string, string[]>();
  for (const [table, column, expression] of columns) {
    const text = withoutQualifiers(expression ?? '', before);
    if (text === undefined) continue;
    const change = `ALTER COLUMN ${quoteName(column ?? '')} SET DEFAULT (${text})`;
    changes.set(table ?? '', [...(changes.get(table ?? '') ?? []), change]);
  }
  if (changes.size === 0) return;
  await session.run(`USE ${quoteName(database)}`);
  // A table that keeps its history would refuse.
  await session.run("SET SESSION system_versioning_alter_history = 'KEEP'");
  for (const [table, all] of changes) {
    // All at once: a table with a sequence that is not there cannot be opened.
    await session.run(`ALTER TABLE ${quoteName(table)} ${all.join(', ')}`);
  }
}

/** Undefined: nothing is to change. */
function withoutQualifiers(expression: string, database: string): string | undefined {
  const bytes = Buffer.from(expression).toString('latin1');
  const ranges = sequenceQualifiers(bytes, database, PLAIN);
  if (ranges.length === 0) return undefined;
  let text = '';
  let done = 0;
  for (const { start, end } of ranges) {
    text += bytes.slice(done, start);
    done = end;
  }
  return Buffer.from(text + bytes.slice(done), 'latin1').toString('utf8');
}
