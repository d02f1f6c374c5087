import { BackupError } from '../../errors.ts';
import type { MysqlSession } from './connect.ts';
import type { Inventory } from './inventory.ts';
import type { MysqlTool } from './tools.ts';

type Server = Pick<MysqlSession, 'flavour' | 'version' | 'subject'>;

/**
 * What a dump tool means for a server.
 * @returns warnings
 * @throws BackupError `unavailable` when nothing good can come of it: mysqldump does not know MariaDB's
 *   sequences and history, and from 9.0 on cannot even sign in with MariaDB's usual kind of password
 */
export function judgeTool(tool: MysqlTool, server: Server): string[] {
  const name = `${programName(tool)} ${tool.version}`;
  if (tool.flavour === 'mysql' && server.flavour === 'mariadb') {
    throw new BackupError(
      'unavailable',
      `${name} (${tool.path}) cannot dump the ${server.subject}: install mariadb-client, or set the folder of its tools in the server node`,
    );
  }
  if (tool.flavour !== server.flavour) {
    return [
      `${name} dumps the ${server.subject} of version ${server.version}: install mysql-client, whose mysqldump knows everything that such a server has`,
    ];
  }
  if (seriesOf(tool) >= seriesOf(server)) return [];
  return [
    `${name} is older than the ${server.subject} of version ${server.version}: what is new there may be missing from dumps`,
  ];
}

/**
 * @throws BackupError `unavailable` for a database that the tool dumps in a way that cannot be restored, or
 *   that it would never be done with: `create_delimiter` of both tools looks for a delimiter that is longer
 *   than any row of semicolons in an event, but never tries a longer one than `;;`
 */
export function requireDumpable(
  tool: MysqlTool,
  server: Server,
  database: string,
  inventory: Inventory,
): void {
  const [event] = inventory.endlessEvents;
  if (event !== undefined) {
    throw new BackupError(
      'unavailable',
      `${database} has the event ${event} with two semicolons in a row (;;), at which ${programName(tool)} would run for ever: write them apart, such as with a blank between them`,
    );
  }
  if (tool.flavour === server.flavour || !inventory.hasGeneratedColumns) return;
  throw new BackupError(
    'unavailable',
    `${database} has generated columns, for which ${programName(tool)} writes rows that MySQL does not take back: install mysql-client, or set the folder of its tools in the server node`,
  );
}

export function programName({ flavour }: Pick<MysqlTool, 'flavour'>): string {
  return flavour === 'mariadb' ? 'mariadb-dump' : 'mysqldump';
}

/** Whether a version is at least the other, both as `10.11.19`. */
export function isAtLeast(version: string, least: string): boolean {
  const parts = version.split('.').map(Number);
  for (const [at, wanted] of least.split('.').map(Number).entries()) {
    const part = parts[at] ?? 0;
    if (part !== wanted) return part > wanted;
  }
  return true;
}

/** The part of a version within which nothing new is added, as a number that can be compared. */
function seriesOf({ version }: { readonly version: string }): number {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  return major * 1000 + minor;
}
