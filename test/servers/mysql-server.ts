import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { chown, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { type MysqlServer, mysqlServer } from '../../lib/sources/mysql/options.ts';
import { freePort } from '../support/free-port.ts';
import { type Account, accountFor } from './account.ts';
import { type Certificate, createAuthority } from './certificates.ts';

/** How to make and run a server of one flavour. */
export interface ServerProgram {
  readonly flavour: 'mariadb' | 'mysql';
  /** The server, and the arguments that every run of it needs. */
  readonly server: readonly [string, ...string[]];
  /** Fills an empty folder with the system's tables. */
  initialize(place: { data: string; temporary: string }, account: Account | undefined): Promise<void>;
  /** Folder of its own client tools; empty: the system's. */
  readonly toolsFolder: string;
}

export interface ServerSettings {
  /** Options of the server, without the two dashes: `{'sql-mode': 'ANSI'}`. */
  readonly settings?: Readonly<Record<string, string>>;
}

/** What a server of the tests and its clients show each other. */
export interface Certificates {
  readonly caFile: string;
  /** An authority that has signed none of the others. */
  readonly otherCaFile: string;
  /** For `localhost` only: by its address, the server is not who the certificate says. */
  readonly server: Certificate;
  readonly client: Certificate;
}

const PASSWORD = `it's a "secret" \\ of #1`;
/** A machine under load takes its time. */
const START_MS = 120_000;

/** A real MySQL or MariaDB server of the tests: TLS and binary log on, reachable by TCP and socket. */
export class TestMysqlServer {
  readonly flavour: 'mariadb' | 'mysql';
  /** How root signs in. */
  readonly settings: MysqlServer;
  readonly certificates: Certificates;
  /** Path of the Unix socket. */
  readonly socket: string;
  readonly port: number;
  readonly #folder: string;
  readonly #process: ChildProcess;
  /** Tests that are cut short leave nothing behind either. */
  readonly #onExit = (): void => {
    this.#process.kill('SIGKILL');
    rmSync(this.#folder, { recursive: true, force: true });
  };

  private constructor(program: ServerProgram, place: Place, child: ChildProcess) {
    this.flavour = program.flavour;
    this.port = place.port;
    this.socket = join(place.folder, 'socket');
    this.certificates = place.certificates;
    this.settings = mysqlServer.parse({
      port: place.port,
      user: 'root',
      password: PASSWORD,
      toolsFolder: program.toolsFolder,
    });
    this.#folder = place.folder;
    this.#process = child;
    process.once('exit', this.#onExit);
  }

  static async start(program: ServerProgram, { settings = {} }: ServerSettings): Promise<TestMysqlServer> {
    const folder = await mkdtemp(join(tmpdir(), `dbackup-${program.flavour}-`));
    const account = await accountFor('mysql');
    let child: ChildProcess | undefined;
    try {
      const certificates = await makeCertificates(folder);
      await writeFile(join(folder, 'init.sql'), initialStatements());
      await mkdir(join(folder, 'tmp'));
      if (account !== undefined) await giveTo(folder, account);
      // Not the system's: servers that run side by side take each other's temporary tables there.
      const temporary = join(folder, 'tmp');
      await program.initialize({ data: join(folder, 'data'), temporary }, account);
      const place: Place = { folder, certificates, port: await freePort() };
      child = startProcess(program, place, account, settings);
      const server = new TestMysqlServer(program, place, child);
      await server.#ready();
      return server;
    } catch (error) {
      child?.kill('SIGKILL');
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** Runs statements as root; the rows of the last one. */
  async query(sql: string, database?: string): Promise<RowDataPacket[]> {
    const { host, user, port } = this.settings;
    const connection = await createConnection({
      host,
      port,
      user,
      password: PASSWORD,
      multipleStatements: true,
      supportBigNumbers: true,
      dateStrings: true,
      charset: 'utf8mb4',
      ...(database === undefined ? {} : { database }),
    });
    try {
      const [results] = await connection.query<RowDataPacket[] | RowDataPacket[][]>(sql);
      const last = Array.isArray(results) ? results.at(-1) : undefined;
      return Array.isArray(last) ? last : (results as RowDataPacket[]);
    } finally {
      connection.destroy();
    }
  }

  /** Ends it in order, and removes its folder. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM');
    process.off('exit', this.#onExit);
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Kills it, as a crash would; `stop` removes its folder. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Stops and continues the process: a server that hangs. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#process.kill(signal);
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const exited = once(this.#process, 'exit');
    this.#process.kill('SIGCONT');
    this.#process.kill(signal);
    await exited;
  }

  async #ready(): Promise<void> {
    const end = Date.now() + START_MS;
    for (;;) {
      const failure = await this.query('SELECT 1').then(
        () => undefined,
        (error: unknown) => error,
      );
      if (failure === undefined) return;
      const isGone = this.#process.exitCode !== null || this.#process.signalCode !== null;
      if (isGone || Date.now() > end) {
        const log = await readFile(join(this.#folder, 'log.err'), 'utf8').catch(() => '');
        throw new Error(`${this.flavour} did not start: ${String(failure)}\n${log.slice(-4000)}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

async function makeCertificates(folder: string): Promise<Certificates> {
  const [authority, other] = await Promise.all([
    createAuthority(folder),
    createAuthority(folder, 'other-ca'),
  ]);
  const server = await authority.sign('localhost', ['DNS:localhost']);
  const client = await authority.sign('backup');
  return { caFile: authority.caFile, otherCaFile: other.caFile, server, client };
}

interface Place {
  readonly folder: string;
  readonly certificates: Certificates;
  readonly port: number;
}

/** Read at each start; root signs in by address and by socket, with a password that needs care. */
function initialStatements(): string {
  const secret = `'${PASSWORD.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  return [
    "DROP USER IF EXISTS root@'127.0.0.1';",
    `ALTER USER root@localhost IDENTIFIED BY ${secret};`,
    `CREATE USER IF NOT EXISTS root@'%' IDENTIFIED BY ${secret};`,
    `GRANT ALL PRIVILEGES ON *.* TO root@'%' WITH GRANT OPTION;`,
    '',
  ].join('\n');
}

function startProcess(
  program: ServerProgram,
  { folder, certificates, port }: Place,
  account: Account | undefined,
  settings: Readonly<Record<string, string>>,
): ChildProcess {
  const [command, ...fixed] = program.server;
  const options: Record<string, string> = {
    datadir: join(folder, 'data'),
    tmpdir: join(folder, 'tmp'),
    'bind-address': '127.0.0.1',
    port: String(port),
    socket: join(folder, 'socket'),
    'pid-file': join(folder, 'pid'),
    'log-error': join(folder, 'log.err'),
    'init-file': join(folder, 'init.sql'),
    'server-id': '1',
    'log-bin': join(folder, 'binlog'),
    'sync-binlog': '0',
    'log-bin-trust-function-creators': '1',
    'skip-name-resolve': '1',
    'ssl-ca': certificates.caFile,
    'ssl-cert': certificates.server.certFile,
    'ssl-key': certificates.server.keyFile,
    'max-allowed-packet': '256M',
    'innodb-buffer-pool-size': '64M',
    'innodb-flush-log-at-trx-commit': '2',
    'innodb-doublewrite': '0',
    'secure-file-priv': '',
    ...settings,
  };
  const child = spawn(
    command,
    [...fixed, ...Object.entries(options).map(([name, value]) => `--${name}=${value}`)],
    {
      stdio: 'ignore',
      ...account,
    },
  );
  child.on('error', () => undefined);
  return child;
}

/** The files of a folder belong to whoever the server runs as. */
async function giveTo(folder: string, { uid, gid }: Account): Promise<void> {
  await chown(folder, uid, gid);
  for (const name of await readdir(folder)) await chown(join(folder, name), uid, gid);
}
