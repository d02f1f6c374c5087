import { z } from 'zod';
import { BackupError, throwIfAborted, toBackupError } from '../../errors.ts';
import type { DatabaseInfo, Dump, DumpLane, SourceDriver, SourceProbe } from '../driver.ts';
import { connectMysql, describeServer, type MysqlSession } from './connect.ts';
import { databaseOf, listArtifacts, USERS_ID } from './databases.ts';
import { dumpDatabase } from './dump.ts';
import { Grants } from './grants.ts';
import { takeInventory } from './inventory.ts';
import { type MysqlServer, type MysqlSource, mysqlSource } from './options.ts';
import { describeGap, missingPrivileges } from './privileges.ts';
import { judgeTool, programName, requireDumpable } from './tool-fit.ts';
import { findMysqlTool, type MysqlTool } from './tools.ts';
import { dumpUsers } from './users.ts';

const MIB = 1024 * 1024;
/** How many databases are looked into by a probe. */
const INSPECTED = 50;

/**
 * Dumps databases of a MySQL or MariaDB server with their own tools, which connect as the settings say.
 * @throws BackupError `invalid-config` when the options are wrong
 */
export function createMysqlSource(server: MysqlServer, source: z.input<typeof mysqlSource>): SourceDriver {
  const options = mysqlSource.safeParse(source);
  if (!options.success) throw new BackupError('invalid-config', z.prettifyError(options.error));
  return new MysqlDriver(server, options.data);
}

class MysqlDriver implements SourceDriver {
  readonly kind = 'mysql';
  readonly lane: DumpLane;
  readonly #server: MysqlServer;
  readonly #source: MysqlSource;

  constructor(server: MysqlServer, source: MysqlSource) {
    this.#server = server;
    this.#source = source;
    const { host, port, tunnel, concurrency } = server;
    const by = tunnel === undefined ? '' : `${tunnel.host}:${tunnel.port}/`;
    this.lane = {
      key: `mysql://${by}${host.startsWith('/') ? host : `${host}:${port}`}`,
      limit: concurrency,
    };
  }

  describe(): string {
    return describeServer(this.#server);
  }

  async prepare(signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    const session = await connectMysql(this.#server, undefined, signal).catch(() => {
      // What keeps the server from answering may have passed when the run begins.
      throwIfAborted(signal);
      return undefined;
    });
    try {
      await this.#tool(session, signal);
    } finally {
      await session?.close();
    }
  }

  async probe(signal: AbortSignal): Promise<SourceProbe> {
    const session = await connectMysql(this.#server, undefined, signal);
    try {
      const { tool, warnings } = await this.#tool(session, signal);
      const artifacts = await listArtifacts(session, this.#source);
      const databases = artifacts.filter(({ id }) => id !== USERS_ID);
      return {
        version: session.version,
        summary: summarize(session, tool, databases),
        warnings: [
          ...warnings,
          ...(databases.length === 0 ? ['No database is selected'] : []),
          ...databases.flatMap((database) => database.warnings ?? []),
          ...(await this.#inspect(session, tool, databases)),
        ],
      };
    } finally {
      await session.close();
    }
  }

  async listDatabases(signal: AbortSignal): Promise<DatabaseInfo[]> {
    const session = await connectMysql(this.#server, undefined, signal);
    try {
      return await listArtifacts(session, this.#source);
    } finally {
      await session.close();
    }
  }

  async dump(database: DatabaseInfo, signal: AbortSignal): Promise<Dump> {
    throwIfAborted(signal);
    if (database.id === USERS_ID) return await dumpUsers(this.#server, signal);
    return await dumpDatabase(this.#server, this.#source, databaseOf(database), signal);
  }

  /** The dump tool, and what it means for the server. A server that did not answer may be of either flavour. */
  async #tool(
    session: MysqlSession | undefined,
    signal: AbortSignal,
  ): Promise<{ tool: MysqlTool; warnings: string[] }> {
    const demand = { folder: this.#server.toolsFolder, flavour: session?.flavour };
    const tool = await findMysqlTool('dump', demand, signal);
    return { tool, warnings: session === undefined ? [] : judgeTool(tool, session) };
  }

  /** What dumps of these databases would miss or risk. */
  async #inspect(
    session: MysqlSession,
    tool: MysqlTool,
    databases: readonly DatabaseInfo[],
  ): Promise<string[]> {
    const grants = await Grants.of(session);
    const warnings: string[] = [];
    for (const { name } of databases.slice(0, INSPECTED)) {
      const about = (text: string) => warnings.push(`${name}: ${text}`);
      missingPrivileges(session, grants, name, this.#source).map(describeGap).map(about);
      try {
        const inventory = await takeInventory(session, name);
        if (inventory.characterSet === '') about('it is not there, or the user may not see it');
        const tables = inventory.nonTransactional.length;
        if (tables > 0 && this.#source.consistency === 'auto') {
          about(
            `${tables} tables of engines without transactions are not from the same moment as the others`,
          );
        }
        requireDumpable(tool, session, name, inventory);
      } catch (error) {
        throwIfAborted(session.reached.signal);
        about(toBackupError(error).message);
      }
    }
    if (databases.length > INSPECTED) warnings.push(`Only the first ${INSPECTED} databases were looked into`);
    return warnings;
  }
}

function summarize(
  { flavour, version }: MysqlSession,
  tool: MysqlTool,
  databases: readonly DatabaseInfo[],
): string {
  const mebibytes = databases.reduce((sum, { bytes = 0 }) => sum + bytes, 0) / MIB;
  const count = databases.length === 1 ? '1 database' : `${databases.length} databases`;
  const name = flavour === 'mariadb' ? 'MariaDB' : 'MySQL';
  return `${name} ${version}, ${count}, ${mebibytes.toFixed(1)} MiB, ${programName(tool)} ${tool.version} (${tool.path})`;
}
