import type { Reached } from '../server/reach.ts';
import type { PostgresServer } from './options.ts';
import { securityOf } from './security.ts';

/** A file that is not there: libpq would else take one from the home folder. */
const NO_FILE = '/nonexistent/dbackup';

/**
 * How a tool of PostgreSQL connects, as variables of its environment. The password is among them and not in a
 * file: only this user and root can read the environment of a process, it ends with the process, and nothing
 * stays on a disk when the machine loses power.
 *
 * The database is not among them, since the tools take it by `--dbname`: see `conninfo`.
 * @param options settings of the server for the session: `{ statement_timeout: '5s' }`
 * @throws BackupError `invalid-config`
 */
export async function libpqEnvironment(
  reached: Reached,
  server: PostgresServer,
  options: Readonly<Record<string, string>> = {},
): Promise<Record<string, string>> {
  const { mode, caFile, certFile, keyFile } = await securityOf(server);
  // The certificate names the server, also when a tunnel's end is at 127.0.0.1.
  const address = reached.serverName === reached.host ? {} : { PGHOSTADDR: reached.host };
  const settings = Object.entries(options).map(([name, value]) => `-c ${name}=${escapeOption(value)}`);
  return {
    PGHOST: reached.serverName,
    ...address,
    PGPORT: String(reached.port),
    PGUSER: server.user,
    ...(server.password === undefined ? {} : { PGPASSWORD: server.password }),
    PGPASSFILE: NO_FILE,
    PGSSLMODE: mode,
    PGSSLROOTCERT: caFile === '' ? NO_FILE : caFile,
    PGSSLCERT: certFile === '' ? NO_FILE : certFile,
    PGSSLKEY: keyFile === '' ? NO_FILE : keyFile,
    PGGSSENCMODE: 'disable',
    PGCONNECT_TIMEOUT: String(server.connectTimeout),
    PGAPPNAME: 'dbackup',
    ...(settings.length === 0 ? {} : { PGOPTIONS: settings.join(' ') }),
  };
}

/**
 * What `--dbname` takes for a database of any name: a name with `=`, or one that begins like a URI, would be
 * read as connection parameters.
 */
export function conninfo(database: string): string {
  return `dbname='${database.replace(/['\\]/g, '\\$&')}'`;
}

/** In `options` a backslash makes the next character an ordinary one, and a space ends the value. */
function escapeOption(value: string): string {
  return value.replace(/[\\\s]/g, '\\$&');
}
