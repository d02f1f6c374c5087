import { startMariadb } from '../servers/mariadb.ts';
import { startPostgres } from '../servers/postgres.ts';
import { startSshd } from '../servers/sshd.ts';

/** The database that the templates of servers back up. */
export const TEMPLATE_DATABASE = 'shop';

const ROWS = 'SELECT id, name FROM item ORDER BY id';

interface Server {
  readonly settings: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly password?: string | undefined;
  };
  query(sql: string, database?: string): Promise<unknown[]>;
  stop(): Promise<void>;
}

/** The servers that the flow templates ask for, and the environment variables that lead to them. */
export interface TemplateServers {
  readonly environment: Readonly<Record<string, string>>;
  readonly postgres: TemplateServer;
  readonly mysql: TemplateServer;
  stop(): Promise<void>;
}

export interface TemplateServer {
  /** All rows of the one table of a database. */
  rows(database: string): Promise<unknown[]>;
}

/** Starts PostgreSQL, MariaDB and an SSH host in front of them, with some rows in each. */
export async function startTemplateServers(): Promise<TemplateServers> {
  const started: { stop(): Promise<void> }[] = [];
  const stop = async () => void (await Promise.all(started.map((server) => server.stop())));
  const keep = <T extends { stop(): Promise<void> }>(server: T): T => {
    started.push(server);
    return server;
  };
  try {
    const postgres = keep(await startPostgres());
    const mysql = keep(await startMariadb());
    const ssh = keep(await startSshd());
    await fill(postgres, `CREATE DATABASE ${TEMPLATE_DATABASE}`);
    await fill(mysql, `CREATE DATABASE ${TEMPLATE_DATABASE} CHARACTER SET utf8mb4`);
    const environment = {
      ...variablesOf('POSTGRES', postgres),
      ...variablesOf('MYSQL', mysql),
      SSH_HOST: ssh.host,
      SSH_PORT: String(ssh.port),
      SSH_USER: ssh.user,
      SSH_KEY_FILE: ssh.key.file,
      SSH_HOST_KEY: ssh.hostKeys.ed25519,
    };
    return { environment, postgres: rowsOf(postgres), mysql: rowsOf(mysql), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function fill(server: Server, create: string): Promise<void> {
  await server.query(create);
  await server.query('CREATE TABLE item (id INTEGER PRIMARY KEY, name VARCHAR(50))', TEMPLATE_DATABASE);
  await server.query("INSERT INTO item VALUES (1, 'one'), (2, 'zwölf 🐘')", TEMPLATE_DATABASE);
}

function variablesOf(prefix: string, { settings }: Server): Record<string, string> {
  const { host, port, user, password = '' } = settings;
  const values = {
    HOST: host,
    PORT: String(port),
    USER: user,
    PASSWORD: password,
    DATABASE: TEMPLATE_DATABASE,
  };
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}_${name}`, value]));
}

function rowsOf(server: Server): TemplateServer {
  return { rows: (database) => server.query(ROWS, database) };
}
