import type { RestoreServer } from '../../lib/restore/targets.ts';
import type { DatabaseInfo, SourceDriver } from '../../lib/sources/driver.ts';
import { createMysqlSource } from '../../lib/sources/mysql/mysql-source.ts';
import { createPostgresSource } from '../../lib/sources/postgres/postgres-source.ts';
import { formatBytes } from '../../nodes/status/quantities.ts';
import type { CommandBody } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { formatTable, printable } from '../format.ts';
import { openServer, type ServerOptions } from '../server-options.ts';

export interface DatabasesInput extends ServerOptions {
  readonly json?: boolean;
}

/** Lists the databases that a server holds. */
export const databases: CommandBody<DatabasesInput> = async (input, { output, signal, env }) => {
  const source = sourceOf(await openServer(input, env));
  const found = await source.listDatabases(signal);
  if (input.json) {
    const listed = found.map(({ name, bytes }) => ({
      database: name,
      ...(bytes === undefined ? {} : { bytes }),
    }));
    output.json({ server: source.describe(), databases: listed });
  } else {
    output.print(tableOf(source, found));
  }
  return EXIT.ok;
};

function sourceOf(server: RestoreServer): SourceDriver {
  return server.kind === 'postgres'
    ? createPostgresSource(server.server, { globals: false })
    : createMysqlSource(server.server, { users: false });
}

function tableOf(source: SourceDriver, found: readonly DatabaseInfo[]): string {
  if (found.length === 0) return printable(`No databases on ${source.describe()}`);
  const rows = found.map(({ name, bytes }) => [name, bytes === undefined ? '' : formatBytes(bytes)]);
  return formatTable(
    ['DATABASE', 'SIZE'],
    rows.map((row) => row.map(printable)),
  );
}
