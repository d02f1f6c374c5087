import { z } from 'zod';
import { BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import type { DatabaseInfo, Dump, DumpLane, SourceDriver, SourceProbe } from '../driver.ts';
import { connectPostgres, describeServer, type PostgresSession } from './connect.ts';
import {
  aboutMaintenance,
  databaseOf,
  GLOBALS_ID,
  listArtifacts,
  mayReadPasswords,
  NO_PASSWORDS,
} from './databases.ts';
import { dumpDatabase, dumpGlobals } from './dump.ts';
import { missingPrivileges } from './inspect.ts';
import { type PostgresServer, type PostgresSource, postgresSource } from './options.ts';
import { findPostgresTool, type PostgresTool } from './tools.ts';

const MIB = 1024 * 1024;
/** How many databases are looked into when privileges are checked: each takes a connection. */
const INSPECTED = 50;

/**
 * Dumps databases of a PostgreSQL server with its own tools, which connect as the settings say.
 * @throws BackupError `invalid-config` when the options are wrong
 */
export function createPostgresSource(
  server: PostgresServer,
  source: z.input<typeof postgresSource>,
): SourceDriver {
  const options = postgresSource.safeParse(source);
  if (!options.success) throw new BackupError('invalid-config', z.prettifyError(options.error));
  return new PostgresDriver(server, options.data);
}

class PostgresDriver implements SourceDriver {
  readonly kind = 'postgres';
  readonly lane: DumpLane;
  readonly #server: PostgresServer;
  readonly #source: PostgresSource;

  constructor(server: PostgresServer, source: PostgresSource) {
    this.#server = server;
    this.#source = source;
    const { host, port, tunnel, concurrency } = server;
    const by = tunnel === undefined ? '' : `${tunnel.host}:${tunnel.port}/`;
    this.lane = { key: `postgres://${by}${host}:${port}`, limit: concurrency };
  }

  describe(): string {
    return describeServer(this.#server);
  }

  async prepare(signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    const session = await this.#connect(signal).catch(() => {
      // What keeps the server from answering may have passed when the run begins.
      throwIfAborted(signal);
      return undefined;
    });
    await session?.close();
    await this.#tools(session, signal);
  }

  async probe(signal: AbortSignal): Promise<SourceProbe> {
    const session = await this.#connect(signal);
    try {
      const [tool] = await this.#tools(session, signal);
      const artifacts = await listArtifacts(session, this.#source);
      const databases = artifacts.filter(({ id }) => id !== GLOBALS_ID);
      const passwords = databases.length === artifacts.length || (await mayReadPasswords(session));
      return {
        version: session.version,
        summary: summarize(session, tool, databases),
        warnings: [
          ...(databases.length === 0 ? ['No database is selected'] : []),
          ...(passwords ? [] : [NO_PASSWORDS]),
          ...(await this.#inspect(databases, signal)),
        ],
      };
    } finally {
      await session.close();
    }
  }

  async listDatabases(signal: AbortSignal): Promise<DatabaseInfo[]> {
    const session = await this.#connect(signal);
    try {
      return await listArtifacts(session, this.#source);
    } finally {
      await session.close();
    }
  }

  async dump(database: DatabaseInfo, signal: AbortSignal): Promise<Dump> {
    throwIfAborted(signal);
    if (database.id === GLOBALS_ID) return await dumpGlobals(this.#server, this.#source, signal);
    return await dumpDatabase(this.#server, this.#source, databaseOf(database), signal);
  }

  async #connect(signal: AbortSignal): Promise<PostgresSession> {
    throwIfAborted(signal);
    try {
      return await connectPostgres(this.#server, this.#server.maintenanceDatabase, signal);
    } catch (error) {
      throw aboutMaintenance(error, this.#server);
    }
  }

  /** The tools that the dumps need, pg_dump first. A server that did not answer may be of any version. */
  async #tools(
    session: PostgresSession | undefined,
    signal: AbortSignal,
  ): Promise<[PostgresTool, ...PostgresTool[]]> {
    const demand = {
      folder: this.#server.toolsFolder,
      atLeast: session?.major ?? 0,
      ...(session === undefined ? {} : { serverVersion: session.version }),
    };
    const dump = await findPostgresTool('pg_dump', demand, signal);
    return this.#source.globals ? [dump, await findPostgresTool('pg_dumpall', demand, signal)] : [dump];
  }

  async #inspect(databases: readonly DatabaseInfo[], signal: AbortSignal): Promise<string[]> {
    const warnings: string[] = [];
    for (const { name } of databases.slice(0, INSPECTED)) {
      try {
        const session = await connectPostgres(this.#server, name, signal);
        try {
          warnings.push(...(await missingPrivileges(session, name)));
        } finally {
          await session.close();
        }
      } catch (error) {
        throwIfAborted(signal);
        warnings.push(`${name}: ${toBackupError(error).message}`);
      }
    }
    if (databases.length > INSPECTED) warnings.push(`Only the first ${INSPECTED} databases were looked into`);
    return warnings;
  }
}

function summarize(
  { version }: PostgresSession,
  tool: PostgresTool,
  databases: readonly DatabaseInfo[],
): string {
  const mebibytes = databases.reduce((sum, { bytes = 0 }) => sum + bytes, 0) / MIB;
  const count = databases.length === 1 ? '1 database' : `${databases.length} databases`;
  return `PostgreSQL ${version}, ${count}, ${mebibytes.toFixed(1)} MiB, pg_dump ${tool.version} (${tool.path})`;
}
