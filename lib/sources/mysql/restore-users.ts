import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, toBackupError } from '../../errors.ts';
import type { RestoreReport } from '../driver.ts';
import type { ServerRestoreOptions } from '../server/restore-options.ts';
import type { DefinitionSession } from './definition-session.ts';
import { StatementSplitter } from './restore-splitter.ts';
import { type Token, tokensOf } from './restore-tokens.ts';

/** The accounts of a server are a small text, in bytes. */
const MAX_BYTES = 64 * 1024 * 1024;
const RULES = { backslashEscapes: true, ansiQuotes: false };

/** A statement about one account. */
interface AccountStatement {
  readonly text: string;
  /** What it does: `CREATE USER`, `GRANT`. */
  readonly does: string;
  /** `user@host`; undefined: about none. */
  readonly account: string | undefined;
}

/**
 * Makes the accounts of a dump that are missing, with their grants. Those that are there stay as they are, or
 * become those of the dump when replacing is allowed, except for the one that restores: it would lock
 * itself out.
 * @throws BackupError that names the account whose statement failed; never with its secrets
 */
export async function restoreUsers(
  session: DefinitionSession,
  { overwrite }: ServerRestoreOptions,
  raw: ByteStream,
): Promise<RestoreReport> {
  const statements = accountStatements(await readWhole(raw));
  const there = new Set(await accountsOf(session));
  const [[self = ''] = []] = await session.rows('SELECT CURRENT_USER()');
  const warnings: string[] = [];
  const made = new Set<string>();
  const kept = new Set<string>();
  const replacedAccounts = new Set<string>();
  for (const { text, does, account } of statements) {
    if (account === undefined) {
      await run(session, text, does, 'the dump');
      continue;
    }
    if (does.startsWith('CREATE') && !made.has(account) && !kept.has(account)) {
      if (!there.has(account)) made.add(account);
      else if (overwrite === 'refuse' || account === self) kept.add(account);
      else {
        await run(session, `DROP ${does.slice('CREATE '.length)} ${quoteAccount(account)}`, 'DROP', account);
        made.add(account);
        replacedAccounts.add(account);
      }
    }
    if (!kept.has(account)) await run(session, text, does, account);
  }
  if (kept.size > 0) warnings.push(`Left as they are: ${[...kept].join(', ')}`);
  if (replacedAccounts.size > 0) warnings.push(`Replaced: ${[...replacedAccounts].join(', ')}`);
  await session.run('FLUSH PRIVILEGES').catch(() => undefined);
  return {
    target: session.session.subject,
    proof: {
      statement: `${made.size} accounts were made, ${kept.size} were left as they are`,
      facts: { made: made.size, kept: kept.size, replaced: replacedAccounts.size },
      warnings,
    },
  };
}

async function readWhole(raw: ByteStream): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of raw) {
    bytes += chunk.length;
    if (bytes > MAX_BYTES)
      throw new BackupError('corrupt', `A dump of users has more than ${MAX_BYTES} bytes`);
    chunks.push(Buffer.from(chunk));
    raw.release?.(chunk);
  }
  return Buffer.concat(chunks);
}

/** @throws BackupError `incomplete` when the dump does not end as one that was finished */
function accountStatements(bytes: Buffer): AccountStatement[] {
  const splitter = new StatementSplitter();
  const statements: AccountStatement[] = [];
  let parts: Buffer[] = [];
  let lastComment = '';
  for (const piece of [...splitter.split(bytes), ...splitter.end()]) {
    if (piece.kind === 'comment') lastComment = piece.bytes.toString('utf8');
    if (piece.kind === 'part') parts.push(piece.bytes);
    if (piece.kind !== 'end') continue;
    statements.push(readStatement(Buffer.concat(parts)));
    parts = [];
    lastComment = '';
  }
  if (splitter.isInStatement || !/^-- Dump completed\b/.test(lastComment)) {
    throw new BackupError('incomplete', 'The dump of users does not end with "-- Dump completed"');
  }
  return statements;
}

function readStatement(bytes: Buffer): AccountStatement {
  const tokens = [...tokensOf(bytes.toString('latin1'), RULES)];
  const words = tokens.filter(({ kind }) => kind === 'word').map(({ text }) => text);
  const [first = '', second = ''] = words;
  const does = first === 'CREATE' || first === 'ALTER' ? `${first} ${accountKind(words)}` : first;
  const at = accountPosition(tokens, first, second);
  return { text: bytes.toString('utf8'), does, account: at === -1 ? undefined : accountAt(tokens, at) };
}

function accountKind(words: readonly string[]): string {
  return words.find((word) => word === 'USER' || word === 'ROLE') ?? '';
}

/** Where the account stands: behind USER or ROLE and their options, of grants behind the last TO. */
function accountPosition(tokens: readonly Token[], first: string, second: string): number {
  const isWord = (token: Token | undefined, ...texts: string[]) =>
    token?.kind === 'word' && texts.includes(token.text);
  if (first === 'GRANT' || (first === 'SET' && second === 'DEFAULT')) {
    const keyword = first === 'GRANT' ? 'TO' : 'FOR';
    const last = tokens.findLastIndex((token) => isWord(token, keyword, 'TO'));
    return last === -1 ? -1 : last + 1;
  }
  if (first !== 'CREATE' && first !== 'ALTER') return -1;
  let at = tokens.findIndex((token) => isWord(token, 'USER', 'ROLE')) + 1;
  while (at > 0 && isWord(tokens[at], 'IF', 'NOT', 'EXISTS')) at += 1;
  return at > 0 ? at : -1;
}

function accountAt(tokens: readonly Token[], at: number): string | undefined {
  const user = tokens[at];
  if (user === undefined || user.kind === 'mark') return undefined;
  const host = tokens[at + 1]?.text === '@' ? tokens[at + 2]?.written : undefined;
  return `${user.written}@${host ?? '%'}`;
}

async function accountsOf(session: DefinitionSession): Promise<string[]> {
  const rows = await session.rows('SELECT User, Host FROM mysql.user');
  // A role of MariaDB has no host.
  return rows.map(([user, host]) => `${user}@${host === '' || host === null ? '%' : host}`);
}

function quoteAccount(account: string): string {
  const at = account.lastIndexOf('@');
  const quoted = (text: string) => `\`${text.replaceAll('`', '``')}\``;
  return `${quoted(account.slice(0, at))}@${quoted(account.slice(at + 1))}`;
}

/** The statement itself is not told: it may have the hash of a password. */
async function run(session: DefinitionSession, text: string, does: string, account: string): Promise<void> {
  try {
    await session.run(text);
  } catch (error) {
    const { code, transient, message } = toBackupError(error);
    throw new BackupError(code, `${does} of ${account} failed: ${withoutQuoted(message)}`, { transient });
  }
}

/** What a server quotes of a statement that it does not understand. */
function withoutQuoted(message: string): string {
  return message.replace(/ near '.*$/s, '');
}
