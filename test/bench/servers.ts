import { execFileSync } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { startMariadb } from '../servers/mariadb.ts';
import { startPostgres } from '../servers/postgres.ts';
import { writeRows } from './data.ts';

export type Engine = 'postgres' | 'mariadb';

/** What a child is told of a server: see children/server.ts. */
interface ServerFile {
  readonly kind: 'postgres' | 'mysql';
  readonly server: object;
  readonly databases: readonly string[];
}

/** A database server with the data of a bench. */
export interface BenchServer {
  /** For our side: a file that names the server and the database, and one with the four. */
  readonly wholeFile: string;
  readonly partsFile: string;
  /** So that its own tools find it. */
  readonly environment: Readonly<Record<string, string>>;
  /** A dump of the database by the engine's own tool, as a file. */
  readonly dumpFile: string;
  /** A storage with one set of the database, zstd-3 and `.dbk`. */
  readonly storedSet: string;
  drop(database: string): Promise<void>;
  stop(): Promise<void>;
}

/** The database that is dumped and restored, and what it is restored into. */
export const DATABASE = 'bench';
export const RESTORED = 'restored';
/** Four that are dumped at a time, a quarter of the size each. */
const PARTS = ['part_1', 'part_2', 'part_3', 'part_4'];

/** Shell commands of each engine; the environment says where the server is. */
export const TOOLS = {
  postgres: {
    dump: `pg_dump --format=custom --compress=0 ${DATABASE}`,
    restore: `createdb ${RESTORED}; pg_restore --exit-on-error --dbname=${RESTORED}`,
    load: (database: string, rows: string) =>
      `psql --quiet --command="\\copy orders from '${rows}'" ${database}`,
  },
  mariadb: {
    dump: `mariadb-dump --defaults-file="$CLIENT" --single-transaction --quick --routines --events --triggers --hex-blob --default-character-set=utf8mb4 ${DATABASE}`,
    restore: `mariadb --defaults-file="$CLIENT" --execute='CREATE DATABASE ${RESTORED}'; mariadb --defaults-file="$CLIENT" --default-character-set=utf8mb4 ${RESTORED} <`,
    load: (database: string, rows: string) =>
      `mariadb --defaults-file="$CLIENT" --local-infile=1 --execute="LOAD DATA LOCAL INFILE '${rows}' INTO TABLE orders" ${database}`,
  },
} as const satisfies Record<Engine, object>;

const TABLE = `
  CREATE TABLE orders (
    id BIGINT PRIMARY KEY, customer INTEGER, placed TIMESTAMP, amount NUMERIC(10,2),
    token VARCHAR(10), note TEXT
  )`;
const INDEX = 'CREATE INDEX orders_customer ON orders (customer)';

/** Starts a server, with fsync off, and fills it. The stored set is left to the caller. */
export async function startBenchServer(engine: Engine, folder: string, bytes: number): Promise<BenchServer> {
  const own = join(folder, engine);
  await mkdir(own);
  const server = engine === 'postgres' ? await startPostgresServer() : await startMariadbServer(own);
  try {
    await fill(engine, server, DATABASE, bytes, own);
    for (const part of PARTS) await fill(engine, server, part, Math.ceil(bytes / PARTS.length), own);
    const dumpFile = join(own, 'dump');
    shell(server, `${TOOLS[engine].dump} > '${dumpFile}'`);
    return {
      wholeFile: await describe(server, join(own, 'whole.json'), [DATABASE], 1),
      partsFile: await describe(server, join(own, 'parts.json'), PARTS, PARTS.length),
      environment: server.environment,
      dumpFile,
      storedSet: join(own, 'stored', 'a'),
      drop: async (database) => {
        await server.query(`DROP DATABASE IF EXISTS ${database}`);
      },
      stop: () => server.stop(),
    };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

interface RunningServer {
  readonly kind: ServerFile['kind'];
  /** As the options of the server in lib. */
  readonly settings: object;
  readonly environment: Readonly<Record<string, string>>;
  query(sql: string, database?: string): Promise<unknown>;
  stop(): Promise<void>;
}

async function startPostgresServer(): Promise<RunningServer> {
  const server = await startPostgres({
    settings: { shared_buffers: '256MB', max_wal_size: '4GB', autovacuum: 'off' },
  });
  const { host, port, user } = server.settings;
  return {
    kind: 'postgres',
    settings: server.settings,
    environment: {
      PATH: `${server.toolsFolder}:${process.env.PATH ?? ''}`,
      PGHOST: host,
      PGPORT: String(port),
      PGUSER: user,
      PGPASSWORD: server.password,
      PGSSLMODE: 'disable',
    },
    query: (sql, database) => server.query(sql, database),
    stop: () => server.stop(),
  };
}

async function startMariadbServer(folder: string): Promise<RunningServer> {
  const server = await startMariadb({
    settings: {
      'innodb-buffer-pool-size': '512M',
      'innodb-log-file-size': '512M',
      'innodb-flush-log-at-trx-commit': '0',
      'innodb-doublewrite': '0',
      'innodb-flush-method': 'nosync',
      'skip-log-bin': '',
    },
  });
  const client = join(folder, 'client.cnf');
  await server.query("CREATE USER 'bench'@'127.0.0.1' IDENTIFIED BY 'bench'");
  await server.query("GRANT ALL ON *.* TO 'bench'@'127.0.0.1'");
  const { host, port } = server.settings;
  await writeFile(client, `[client]\nhost=${host}\nport=${port}\nuser=bench\npassword=bench\n`, {
    mode: 0o600,
  });
  return {
    kind: 'mysql',
    settings: server.settings,
    environment: { CLIENT: client },
    query: (sql, database) => server.query(sql, database),
    stop: () => server.stop(),
  };
}

/** Rows go in before the index, as quickly as the server can take them. */
async function fill(
  engine: Engine,
  server: RunningServer,
  database: string,
  bytes: number,
  folder: string,
): Promise<void> {
  const file = join(folder, 'rows.tsv');
  await writeRows(file, bytes);
  await server.query(`CREATE DATABASE ${database}`);
  await server.query(TABLE, database);
  shell(server, TOOLS[engine].load(database, file));
  await server.query(INDEX, database);
  await rm(file);
}

async function describe(
  server: RunningServer,
  file: string,
  databases: readonly string[],
  concurrency: number,
): Promise<string> {
  const settings = { ...server.settings, tls: 'off', caFile: '', concurrency };
  const content: ServerFile = { kind: server.kind, server: settings, databases };
  await writeFile(file, JSON.stringify(content), { mode: 0o600 });
  return file;
}

function shell({ environment }: RunningServer, command: string): void {
  execFileSync('bash', ['-c', `set -euo pipefail; ${command}`], { env: { ...process.env, ...environment } });
}
