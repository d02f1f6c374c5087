import type { ByteStream } from '../../bytes/stream.ts';
import { BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import type { RestoreReport, RestoreTarget } from '../driver.ts';
import type { ServerRestoreOptions } from '../server/restore-options.ts';
import { describeServer } from './connect.ts';
import { DefinitionSession } from './definition-session.ts';
import type { MysqlServer } from './options.ts';
import { checkDatabase, restoreDatabase } from './restore-database.ts';
import { requireName } from './restore-names.ts';
import { checkUsers, restoreUsers } from './restore-users.ts';

/** How long a statement waits for tables that others use, in seconds. */
const LOCK_WAIT_SECONDS = 60;

/**
 * Restores a dump of MySQL or MariaDB: `mysql-sql` into a database, `mysql-users` into the server's accounts.
 * @throws BackupError `invalid-config` for options that cannot be done
 */
export function createMysqlRestoreTarget(server: MysqlServer, options: ServerRestoreOptions): RestoreTarget {
  return new MysqlRestoreTarget(server, options);
}

class MysqlRestoreTarget implements RestoreTarget {
  readonly kind = 'mysql';
  readonly #server: MysqlServer;
  readonly #options: ServerRestoreOptions;

  constructor(server: MysqlServer, options: ServerRestoreOptions) {
    this.#server = server;
    this.#options = options;
    requireOptions(options);
  }

  describe(): string {
    const server = describeServer(this.#server);
    return this.#isUsers ? `users of ${server}` : `${this.#options.database} on ${server}`;
  }

  async check(_expectedBytes: number | undefined, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    if (this.#isUsers) return await checkUsers(this.#server, signal);
    const session = await this.#connect(signal);
    try {
      await checkDatabase(this.#server, session, this.#options, signal);
    } finally {
      await session.close();
    }
  }

  async restore(raw: ByteStream, signal: AbortSignal): Promise<RestoreReport> {
    throwIfAborted(signal);
    if (this.#isUsers) return await restoreUsers(this.#server, this.#options, raw, signal);
    const session = await this.#connect(signal);
    try {
      return await restoreDatabase(this.#server, session, this.#options, raw, signal);
    } catch (error) {
      throwIfAborted(signal);
      throw toBackupError(error, this.describe());
    } finally {
      await session.close();
    }
  }

  get #isUsers(): boolean {
    return this.#options.format === 'mysql-users';
  }

  #connect(signal: AbortSignal): Promise<DefinitionSession> {
    return DefinitionSession.open(this.#server, signal, LOCK_WAIT_SECONDS);
  }
}

function requireOptions({ format, database, content, tables }: ServerRestoreOptions): void {
  if (format === 'mysql-users') {
    if (content === 'all' && tables.length === 0) return;
    throw new BackupError('invalid-config', 'Users are restored as a whole: choose no tables and no part');
  }
  if (format !== 'mysql-sql') {
    throw new BackupError(
      'invalid-config',
      `A dump of format ${format} is none of MySQL or MariaDB that this version can restore`,
    );
  }
  requireName(database);
}
