import { abortable } from '../../bytes/abortable.ts';
import type { ByteStream } from '../../bytes/stream.ts';
import { abortError, throwIfAborted, toBackupError } from '../../errors.ts';
import type { RestoreReport, RestoreTarget } from '../driver.ts';
import { reach } from '../server/reach.ts';
import type { ServerRestoreOptions } from '../server/restore-options.ts';
import { describeServer } from './connect.ts';
import type { PostgresServer } from './options.ts';
import { requireExpected, requireRoleRights } from './restore-check.ts';
import { beside, type RestoreContext } from './restore-context.ts';
import { restoreInto } from './restore-existing.ts';
import { type RestoreFormat, restoreFormat } from './restore-format.ts';
import { restoreGlobals } from './restore-globals.ts';
import { RestoreInput } from './restore-input.ts';
import { needsOlderTool } from './restore-load.ts';
import { requireName } from './restore-names.ts';
import { restoreNew } from './restore-new.ts';
import { selectTables } from './restore-selection.ts';
import { requireSpoolSpace } from './restore-spool.ts';
import { restoreTool, setsTooMuch } from './restore-tools.ts';

/**
 * Restores dumps of pg_dump and pg_dumpall with PostgreSQL's own tools. A whole database is made under a
 * temporary name, and takes the place of the one that is there when all is done and checked. A part of one
 * (schema, data, tables) goes into an existing database in one transaction.
 * @throws BackupError `invalid-config` when the format cannot do what the options ask for
 */
export function createPostgresRestoreTarget(
  server: PostgresServer,
  options: ServerRestoreOptions,
): RestoreTarget {
  const format = restoreFormat(options);
  if (options.format !== 'pg-globals') requireName(options.database);
  return new PostgresRestoreTarget(server, options, format);
}

class PostgresRestoreTarget implements RestoreTarget {
  readonly kind = 'postgres';
  readonly #server: PostgresServer;
  readonly #options: ServerRestoreOptions;
  readonly #format: RestoreFormat;

  constructor(server: PostgresServer, options: ServerRestoreOptions, format: RestoreFormat) {
    this.#server = server;
    this.#options = options;
    this.#format = format;
  }

  get #isGlobals(): boolean {
    return this.#options.format === 'pg-globals';
  }

  describe(): string {
    const what = this.#isGlobals ? 'the roles and tablespaces' : `database ${this.#options.database}`;
    return `${what} of ${describeServer(this.#server)}`;
  }

  async check(expectedBytes: number | undefined, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    await this.#with(signal, async (context) => {
      const { jobs, spoolDirectory, engineVersion } = this.#options;
      const name = this.#format.archive === undefined ? 'psql' : 'pg_restore';
      const tool = await restoreTool(name, engineVersion, context, signal);
      await beside(context, async (session) => {
        if (this.#isGlobals) return await requireRoleRights(session, context);
        await requireExpected(session, context);
        if (jobs > 1 && setsTooMuch(tool.major, session.major)) throw needsOlderTool(session.major);
      });
      if (jobs > 1) await requireSpoolSpace(spoolDirectory, expectedBytes);
    });
  }

  async restore(raw: ByteStream, signal: AbortSignal): Promise<RestoreReport> {
    throwIfAborted(signal);
    return await this.#with(signal, async (context) => {
      const input = new RestoreInput(abortable(raw, context.signal), this.#format.reader());
      try {
        return { target: this.describe(), ...(await this.#restore(context, input)) };
      } finally {
        await input.close();
      }
    });
  }

  async #restore(context: RestoreContext, input: RestoreInput): Promise<Omit<RestoreReport, 'target'>> {
    if (this.#isGlobals) return await restoreGlobals(context, input);
    const { database, content, tables, overwrite, safetyCopy } = this.#options;
    // Again: much time may have passed since the first look.
    const { exists } = await beside(context, (session) => requireExpected(session, context));
    const archive =
      this.#format.archive === undefined ? undefined : await input.archive(this.#format.archive);
    const isPart = content !== 'all' || tables.length > 0;
    if (archive !== undefined && exists && isPart) return await restoreInto(context, input, archive);
    const selection =
      archive === undefined || tables.length === 0 ? undefined : selectTables(archive, tables, true);
    return await restoreNew(context, input, {
      archive,
      choice: {
        args: content === 'schema' ? ['--schema-only'] : [],
        ...(selection === undefined ? {} : { entries: selection.entries }),
      },
      warnings: selection?.warnings ?? [],
      swap: { name: database, mayReplace: overwrite === 'replace', keep: safetyCopy },
    });
  }

  async #with<T>(signal: AbortSignal, work: (context: RestoreContext) => Promise<T>): Promise<T> {
    const reached = await reach(this.#server, signal);
    try {
      const context = { server: this.#server, options: this.#options, reached, signal: reached.signal };
      return await work(context);
    } catch (error) {
      // What the abort has broken tells less than its reason.
      if (signal.aborted && toBackupError(error).code !== 'aborted') throw abortError(signal);
      throw error;
    } finally {
      await reached.close();
    }
  }
}
