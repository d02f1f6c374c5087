import { BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import type { Dump, DumpProof } from '../driver.ts';
import { listAccounts, statementsFor } from './accounts.ts';
import { connectMysql, type MysqlSession } from './connect.ts';
import type { MysqlServer } from './options.ts';

/** The format's name in manifests: SQL statements, password hashes among them. */
export const MYSQL_USERS_FORMAT = 'mysql-users';

/** What dumps of users and grants are about. */
const SUBJECT = 'The dump of the users';

/**
 * Starts a dump of the server's users, roles and grants: SQL that creates what is not there and changes no
 * password of what is. All accounts come first, then all grants, since a grant may name any of them. The last
 * line says that it is complete, and how many there are.
 * @throws BackupError when it cannot start; nothing is left open by then
 */
export async function dumpUsers(server: MysqlServer, signal: AbortSignal): Promise<Dump> {
  const session = await connectMysql(server, undefined, signal);
  try {
    // Hashes hold any byte; as text they would not survive.
    if (session.flavour === 'mysql')
      await session.query('SET SESSION print_identified_with_as_hex = ON').catch(ignoreOld);
    return new UsersDump(session).open();
  } catch (error) {
    await session.close();
    throw toBackupError(error);
  }
}

/** Servers before 8.0.17 have hashes that are text. */
function ignoreOld(error: unknown): void {
  if (error instanceof BackupError && /print_identified_with_as_hex/.test(error.message)) return;
  throw error;
}

class UsersDump {
  readonly #session: MysqlSession;
  readonly #signal: AbortSignal;
  readonly #settled = Promise.withResolvers<DumpProof>();
  readonly #onAbort = () => void this.#fail(this.#signal.reason);
  readonly #warnings: string[] = [];
  #accounts = 0;
  #isOver = false;

  constructor(session: MysqlSession) {
    this.#session = session;
    this.#signal = session.reached.signal;
  }

  open(): Dump {
    const early = new BackupError('aborted', `${SUBJECT} was ended before all bytes were read`);
    const chunks = this.#chunks();
    const proof = this.#settled.promise;
    proof.catch(() => undefined);
    this.#signal.addEventListener('abort', this.#onAbort, { once: true });
    const stream = {
      [Symbol.asyncIterator]: () => ({
        next: () => chunks.next(),
        return: async () => {
          await this.#fail(early);
          await chunks.return();
          return { done: true as const, value: undefined };
        },
      }),
    };
    return {
      stream,
      proof,
      format: MYSQL_USERS_FORMAT,
      extension: '.sql',
      version: this.#session.version,
    };
  }

  async *#chunks(): AsyncGenerator<Buffer, void> {
    try {
      throwIfAborted(this.#signal);
      yield this.#header();
      const accounts = await listAccounts(this.#session);
      const grants: string[] = [];
      for (const account of accounts) {
        const statements = await statementsFor(this.#session, account);
        if (statements === undefined) {
          this.#warnings.push(`${account.name} is not dumped: the server does not use it (any more)`);
          continue;
        }
        this.#accounts += 1;
        grants.push(...statements.grants);
        yield Buffer.from(`${statements.create};\n`);
      }
      if (grants.length > 0) yield Buffer.from(`${grants.join(';\n')};\n`);
      yield Buffer.from(`-- Dump completed: ${this.#accounts} accounts\n`);
      await this.#succeed(grants.length);
    } catch (error) {
      const failure = toBackupError(error, SUBJECT);
      await this.#fail(failure);
      throw failure;
    }
  }

  #header(): Buffer {
    const { flavour, version } = this.#session;
    const name = flavour === 'mariadb' ? 'MariaDB' : 'MySQL';
    return Buffer.from(
      [
        `-- Users, roles and grants of ${name} ${version}`,
        '-- Load it after the databases: grants on tables need them.',
        'SET NAMES utf8mb4;',
        "SET SESSION sql_mode = '';",
        '',
      ].join('\n'),
    );
  }

  async #succeed(grants: number): Promise<void> {
    if (!(await this.#end())) return;
    const { flavour, version } = this.#session;
    this.#settled.resolve({
      statement: `${this.#accounts} accounts, ${grants} grants`,
      facts: { accounts: this.#accounts, grants, flavour, serverVersion: version },
      warnings: this.#warnings,
    });
  }

  async #fail(reason: unknown): Promise<void> {
    if (await this.#end()) this.#settled.reject(toBackupError(reason));
  }

  /** False when it was over already. */
  async #end(): Promise<boolean> {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#signal.removeEventListener('abort', this.#onAbort);
    await this.#session.close();
    return true;
  }
}
