import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import type { RestoreReport } from '../driver.ts';
import type { ServerRestoreOptions } from '../server/restore-options.ts';
import { type AccountStatements, listAccounts, mayReadAccounts, statementsFor } from './accounts.ts';
import { connectMysql, type MysqlSession } from './connect.ts';
import { quoteName } from './definition-session.ts';
import type { MysqlServer } from './options.ts';
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
  /** As statements name it; undefined: about none. */
  readonly account: string | undefined;
}

/**
 * Makes the accounts of a dump that are missing, with their grants. Those that are there stay as they are, or
 * become those of the dump when replacing is allowed, except for those with the name of the one that restores:
 * it would lock itself out. When a statement fails, what was made is removed and what was replaced is made again.
 * @throws BackupError that names the account whose statement failed; never with its secrets
 */
export async function restoreUsers(
  server: MysqlServer,
  { overwrite }: ServerRestoreOptions,
  raw: ByteStream,
  signal: AbortSignal,
): Promise<RestoreReport> {
  const statements = accountStatements(await readWhole(raw));
  throwIfAborted(signal);
  // From here on an abort would only leave things half done: the statements take moments.
  const session = await connectMysql(server, undefined, new AbortController().signal);
  try {
    // Hashes hold any byte. Servers that do not know the setting have none of that kind.
    await session.query('SET SESSION print_identified_with_as_hex = ON').catch(() => undefined);
    const restore = await UserRestore.begin(session, overwrite);
    try {
      for (const statement of statements) await restore.take(statement);
      await restore.finish();
    } catch (error) {
      await restore.undo(toBackupError(error));
      throw error;
    }
    return restore.report();
  } finally {
    await session.close();
  }
}

/** @throws BackupError `permission` when the user may not look at accounts, or of the connection */
export async function checkUsers(server: MysqlServer, signal: AbortSignal): Promise<void> {
  const session = await connectMysql(server, undefined, signal);
  try {
    if (await mayReadAccounts(session)) return;
    throw new BackupError(
      'permission',
      `The user ${server.user} may not read mysql.user on the ${session.subject}: restore users as one that may make them`,
    );
  } finally {
    await session.close();
  }
}

class UserRestore {
  readonly #session: MysqlSession;
  readonly #overwrite: ServerRestoreOptions['overwrite'];
  readonly #self: string;
  readonly #made = new Set<string>();
  readonly #kept = new Set<string>();
  readonly #roles = new Set<string>();
  readonly #replaced: string[] = [];
  /** What each account was before. */
  readonly #before: ReadonlyMap<string, AccountStatements>;

  private constructor(
    session: MysqlSession,
    overwrite: ServerRestoreOptions['overwrite'],
    self: string,
    before: ReadonlyMap<string, AccountStatements>,
  ) {
    this.#session = session;
    this.#overwrite = overwrite;
    this.#self = self;
    this.#before = before;
  }

  static async begin(
    session: MysqlSession,
    overwrite: ServerRestoreOptions['overwrite'],
  ): Promise<UserRestore> {
    const [[self] = []] = await session.query("SELECT SUBSTRING_INDEX(CURRENT_USER(), '@', 1)");
    const before = new Map<string, AccountStatements>();
    for (const account of await listAccounts(session)) {
      const statements = await statementsFor(session, account);
      if (statements !== undefined) before.set(account.name, statements);
    }
    return new UserRestore(session, overwrite, self ?? '', before);
  }

  async take({ text, does, account }: AccountStatement): Promise<void> {
    if (account === undefined) return await this.#run(text, does, 'the dump');
    const isNew = !this.#made.has(account) && !this.#kept.has(account);
    if (does.startsWith('CREATE') && isNew) await this.#decide(account, does === 'CREATE ROLE');
    if (!this.#kept.has(account)) await this.#run(text, does, account);
  }

  /** The account is to be made, or stays as it is. */
  async #decide(account: string, isRole: boolean): Promise<void> {
    if (isRole) this.#roles.add(account);
    if (await this.#isThere(account, isRole)) {
      const isSelf = partsOf(account)[0] === this.#self;
      if (this.#overwrite === 'refuse' || isSelf || !this.#before.has(account)) {
        this.#kept.add(account);
        return;
      }
      this.#replaced.push(account);
      await this.#drop(account);
    }
    this.#made.add(account);
  }

  /** Gives roles back to accounts that lost them when a role was replaced. */
  async finish(): Promise<void> {
    if (this.#replaced.length === 0) return;
    for (const [account, { grants }] of this.#before) {
      if (this.#replaced.includes(account)) continue;
      for (const grant of grants.filter(isOfRole)) await this.#run(grant, 'GRANT', account);
    }
  }

  report(): RestoreReport {
    const replaced = this.#replaced;
    const warnings = [
      ...(this.#kept.size === 0 ? [] : [`Left as they are: ${[...this.#kept].join(', ')}`]),
      ...(replaced.length === 0 ? [] : [`Replaced: ${replaced.join(', ')}`]),
    ];
    return {
      target: this.#session.subject,
      proof: {
        statement: `${this.#made.size} accounts were made, ${this.#kept.size} were left as they are`,
        facts: { made: this.#made.size, kept: this.#kept.size, replaced: replaced.length },
        warnings,
      },
    };
  }

  /** @throws BackupError that says what is left, when it cannot be undone */
  async undo(failure: BackupError): Promise<void> {
    try {
      for (const account of [...this.#made].reverse()) await this.#drop(account);
      const statements = this.#replaced.map((account) => [account, this.#before.get(account)] as const);
      for (const [account, before] of statements) await this.#run(before?.create ?? '', 'CREATE', account);
      for (const [account, before] of statements) {
        for (const grant of before?.grants ?? []) await this.#run(grant, 'GRANT', account);
      }
      await this.finish();
    } catch (error) {
      throw new BackupError(
        failure.code,
        `${failure.message}. Undoing it failed too (${toBackupError(error).message}): look after the accounts ${[...this.#made].join(', ')}`,
        { cause: failure },
      );
    }
  }

  async #isThere(account: string, isRole: boolean): Promise<boolean> {
    const [user = '', host = ''] = partsOf(account);
    const [row] = await this.#session.query('SELECT 1 FROM mysql.user WHERE User = ? AND Host = ?', [
      user,
      isRole ? '' : host,
    ]);
    return row !== undefined;
  }

  #drop(account: string): Promise<void> {
    const kind = this.#roles.has(account) ? 'ROLE' : 'USER';
    return this.#run(`DROP ${kind} IF EXISTS ${account}`, 'DROP', account);
  }

  /** The statement itself is not told: it may have the hash of a password. */
  async #run(text: string, does: string, account: string): Promise<void> {
    try {
      await this.#session.query(text);
    } catch (error) {
      const { code, transient, message } = toBackupError(error);
      throw new BackupError(code, `${does} of ${account} failed: ${withoutQuoted(message)}`, { transient });
    }
  }
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
  const account = at === -1 ? undefined : accountAt(tokens, at);
  return { text: bytes.toString('utf8'), does, account };
}

function accountKind(words: readonly string[]): string {
  return words.find((word) => word === 'USER' || word === 'ROLE') ?? '';
}

/** Where the account stands: behind USER or ROLE and their options, of grants behind the last TO or FROM. */
function accountPosition(tokens: readonly Token[], first: string, second: string): number {
  const isWord = (token: Token | undefined, ...texts: string[]) =>
    token?.kind === 'word' && texts.includes(token.text);
  const behind = (word: string) => tokens.findLastIndex((token) => isWord(token, word)) + 1 || -1;
  if (first === 'GRANT') return behind('TO');
  if (first === 'REVOKE') return behind('FROM');
  if (first === 'SET' && second === 'DEFAULT') return behind('FOR');
  if (first !== 'CREATE' && first !== 'ALTER') return -1;
  let at = tokens.findIndex((token) => isWord(token, 'USER', 'ROLE')) + 1;
  while (at > 0 && isWord(tokens[at], 'IF', 'NOT', 'EXISTS')) at += 1;
  return at > 0 ? at : -1;
}

function accountAt(tokens: readonly Token[], at: number): string | undefined {
  const user = tokens[at];
  if (user === undefined || user.kind === 'mark') return undefined;
  const host = tokens[at + 1]?.text === '@' ? tokens[at + 2] : undefined;
  return host === undefined
    ? quoteName(user.written)
    : `${quoteName(user.written)}@${quoteName(host.written)}`;
}

/** User and host of an account as statements name it. */
function partsOf(account: string): string[] {
  return [...tokensOf(Buffer.from(account).toString('latin1'), RULES)]
    .filter(({ kind }) => kind === 'name')
    .map(({ written }) => written);
}

/** Not of a privilege: ``GRANT `reader`@`%` TO `ann`@`%` ``. */
function isOfRole(grant: string): boolean {
  return /^GRANT `(?:[^`]|``)*`(?:@`(?:[^`]|``)*`)? TO /.test(grant);
}

/** What a server quotes of a statement that it does not understand. */
function withoutQuoted(message: string): string {
  return message.replace(/ near '.*$/s, '');
}
