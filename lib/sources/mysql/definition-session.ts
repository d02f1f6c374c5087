import { BackupError } from '../../errors.ts';
import { connectMysql, type MysqlSession } from './connect.ts';
import type { MysqlServer } from './options.ts';

/**
 * A connection for definitions, whose text may be in any character set: what is said in UTF-8 goes by `run`
 * and `rows`, what must keep its bytes by `raw` and `rawRows`, one character for each byte.
 */
export class DefinitionSession {
  readonly session: MysqlSession;

  private constructor(session: MysqlSession) {
    this.session = session;
  }

  /**
   * @param lockWaitSeconds how long a statement waits for tables that others use
   * @throws BackupError as `connectMysql`
   */
  static async open(
    server: MysqlServer,
    signal: AbortSignal,
    lockWaitSeconds: number,
  ): Promise<DefinitionSession> {
    const session = new DefinitionSession(await connectMysql(server, undefined, signal, 'bytes'));
    try {
      await session.run(`SET SESSION lock_wait_timeout = ${lockWaitSeconds}, SESSION foreign_key_checks = 0`);
    } catch (error) {
      await session.close();
      throw error;
    }
    return session;
  }

  /** @throws BackupError */
  async run(sql: string, values: readonly string[] = []): Promise<void> {
    await this.rows(sql, values);
  }

  /** @throws BackupError */
  async rows(sql: string, values: readonly string[] = []): Promise<(string | null)[][]> {
    const rows = await readable(this.session.query(toBytes(sql), values.map(toBytes)));
    return rows.map((row) => row.map((value) => (value === null ? null : fromBytes(value))));
  }

  /** @throws BackupError */
  async raw(sql: string): Promise<void> {
    await readable(this.session.query(sql));
  }

  /**
   * The bytes that the server keeps, converted to no character set.
   * @throws BackupError
   */
  async rawRows(sql: string): Promise<readonly (readonly (string | null)[])[]> {
    await this.session.query('SET SESSION character_set_results = binary');
    try {
      return await readable(this.session.query(toBytes(sql)));
    } finally {
      await this.session.query('SET SESSION character_set_results = utf8mb4');
    }
  }

  /** Never rejects. */
  close(): Promise<void> {
    return this.session.close();
  }
}

/** A name as it stands in a statement. */
export function quoteName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}

/** A text without backslashes, as it stands in a statement whatever the sql_mode. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** What the server says of a failure came as bytes too. */
async function readable<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    if (!(error instanceof BackupError) || error.code === 'aborted') throw error;
    const { code, message, transient } = error;
    throw new BackupError(code, fromBytes(message), { transient, cause: error });
  }
}

function toBytes(text: string): string {
  return Buffer.from(text, 'utf8').toString('latin1');
}

function fromBytes(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
