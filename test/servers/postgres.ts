import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { chmod, chown, copyFile, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import { type PostgresServer, postgresServer } from '../../lib/sources/postgres/options.ts';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/until.ts';
import { type Certificate, createAuthority } from './certificates.ts';
import { unpackForeign } from './foreign-suite.ts';

const run = promisify(execFile);

/** How long a server may take to start, in ms. */
const START_MS = 60_000;

export interface PostgresOptions {
  /** 15 is installed; the others are unpacked from newer Debian suites, see foreign-suite.ts. */
  readonly major?: 15 | 17 | 18;
  /** Also accept TLS connections, with client certificates of the same authority. */
  readonly tls?: boolean;
  /** For postgresql.conf. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Lines of pg_hba.conf that come before ours. */
  readonly access?: readonly string[];
}

/** A PostgreSQL server of a test, in a folder of its own, on a port of 127.0.0.1 and a socket. */
export interface TestPostgres {
  readonly major: number;
  /** Signs in as the superuser `postgres`, with a password; checks the certificate when there is one. */
  readonly settings: PostgresServer;
  /** Text that must never appear anywhere. */
  readonly password: string;
  /** The programs of the same version. */
  readonly toolsFolder: string;
  /** Folder of the Unix socket. */
  readonly socketFolder: string;
  /** With `tls`: files of the authority, and a client certificate of the user `postgres`. */
  readonly tls?: { readonly caFile: string; readonly client: Certificate };
  /** Runs one or several statements as the superuser. */
  query<Row extends pg.QueryResultRow = pg.QueryResultRow>(sql: string, database?: string): Promise<Row[]>;
  /** What the server has logged. */
  log(): Promise<string>;
  /** Ends the server as an administrator does who does not wait for clients, and removes its folder. */
  stop(): Promise<void>;
  /** The server is gone at once (SIGKILL); its folder stays until `stop`. */
  kill(): Promise<void>;
}

/**
 * Starts a server and waits until it answers.
 * @throws ForeignSuiteError when a version that is not installed cannot be had
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<TestPostgres> {
  const { major = 15, tls = false } = options;
  const toolsFolder = await programsOf(major);
  const home = await mkdtemp(join(tmpdir(), `dbackup-postgres-${major}-`));
  const password = "pässword of postgres='\\ :1";
  try {
    const user = await serverUser();
    const files = tls ? await createCertificates(home) : undefined;
    await createCluster(toolsFolder, home, password, user);
    await configure(home, options, files, user);
    const { port, server } = await start(toolsFolder, home, user);
    const settings = postgresServer.parse({
      port,
      user: 'postgres',
      password,
      toolsFolder: major === 15 ? '' : toolsFolder,
      ...(files === undefined ? {} : { tls: 'verify-full', caFile: files.caFile }),
    });
    return new RunningPostgres(home, server, { major, settings, password, toolsFolder, files });
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
}

/** The folder of the programs of a version. */
async function programsOf(major: 15 | 17 | 18): Promise<string> {
  const programs = `/usr/lib/postgresql/${major}/bin`;
  if (major === 15) return programs;
  const root = await unpackForeign({
    suite: major === 17 ? 'trixie' : 'sid',
    packages: [`postgresql-${major}`, `postgresql-client-${major}`],
    programs: [programs],
  });
  return join(root, programs);
}

/** PostgreSQL refuses to run as root. */
interface ServerUser {
  readonly uid: number;
  readonly gid: number;
}

async function serverUser(): Promise<ServerUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const [uid, gid] = await Promise.all(
    ['-u', '-g'].map(async (flag) => Number((await run('id', [flag, 'postgres'])).stdout)),
  );
  if (uid === undefined || gid === undefined) throw new Error('there is no user postgres');
  return { uid, gid };
}

interface TlsFiles {
  readonly caFile: string;
  readonly server: Certificate;
  readonly client: Certificate;
}

async function createCertificates(home: string): Promise<TlsFiles> {
  const folder = join(home, 'tls');
  await mkdir(folder);
  const authority = await createAuthority(folder);
  const server = await authority.sign('localhost', ['DNS:localhost', 'IP:127.0.0.1']);
  return { caFile: authority.caFile, server, client: await authority.sign('postgres') };
}

async function createCluster(programs: string, home: string, password: string, user?: ServerUser) {
  const passwordFile = join(home, 'password');
  await writeFile(passwordFile, password, { mode: 0o600 });
  await chmod(home, 0o755);
  if (user !== undefined) {
    await chown(home, user.uid, user.gid);
    await chown(passwordFile, user.uid, user.gid);
  }
  const args = [
    ...['-D', join(home, 'data'), '-U', 'postgres', `--pwfile=${passwordFile}`],
    ...['--auth=scram-sha-256', '-E', 'UTF8', '--locale=C', '--no-sync'],
  ];
  await run(join(programs, 'initdb'), args, { cwd: home, ...user, env: serverEnvironment() });
  await rm(passwordFile);
}

async function configure(home: string, options: PostgresOptions, files?: TlsFiles, user?: ServerUser) {
  const data = join(home, 'data');
  const settings: Record<string, string> = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: home,
    fsync: 'off',
    jit: 'off',
    max_connections: '60',
    log_line_prefix: '%m %u@%d %a ',
  };
  if (files !== undefined) {
    const keyFile = join(data, 'server.key');
    await copyFile(files.server.keyFile, keyFile);
    if (user !== undefined) await chown(keyFile, user.uid, user.gid);
    settings.ssl = 'on';
    settings.ssl_key_file = keyFile;
    settings.ssl_cert_file = files.server.certFile;
    settings.ssl_ca_file = files.caFile;
  }
  const lines = Object.entries({ ...settings, ...options.settings }).map(
    ([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`,
  );
  await append(join(data, 'postgresql.conf'), lines.join(''));
  if (options.access !== undefined) {
    const file = join(data, 'pg_hba.conf');
    await writeFile(file, `${options.access.join('\n')}\n${await readFile(file, 'utf8')}`);
  }
}

/** The port is chosen before the server has it, so that somebody else may be quicker. */
async function start(programs: string, home: string, user?: ServerUser) {
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const log = await open(join(home, 'log'), 'a');
    const server = spawn(join(programs, 'postgres'), ['-D', join(home, 'data'), '-p', String(port)], {
      cwd: home,
      ...user,
      env: serverEnvironment(),
      stdio: ['ignore', log.fd, log.fd],
    });
    await log.close();
    if (await answers(server, home, port)) return { port, server };
    const said = await readFile(join(home, 'log'), 'utf8');
    if (attempt === 3 || !said.includes('Address already in use')) {
      throw new Error(`PostgreSQL did not start: ${said.slice(-2000)}`);
    }
  }
}

/** Whether the server has begun to serve; false when it has ended. */
async function answers(server: ChildProcess, home: string, port: number): Promise<boolean> {
  let failed = false;
  server.once('error', () => {
    failed = true;
  });
  const pidFile = join(home, 'data', 'postmaster.pid');
  let ready = false;
  await until(async () => {
    if (failed || server.exitCode !== null || server.signalCode !== null) return true;
    const lines = (await readFile(pidFile, 'utf8').catch(() => '')).split('\n');
    ready = lines[3] === String(port) && lines[7]?.trim() === 'ready';
    return ready;
  }, START_MS);
  return ready;
}

interface RunningParts {
  readonly major: number;
  readonly settings: PostgresServer;
  readonly password: string;
  readonly toolsFolder: string;
  readonly files: TlsFiles | undefined;
}

class RunningPostgres implements TestPostgres {
  readonly major: number;
  readonly settings: PostgresServer;
  readonly password: string;
  readonly toolsFolder: string;
  readonly socketFolder: string;
  readonly tls?: { readonly caFile: string; readonly client: Certificate };
  readonly #server: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #leave: () => void;

  constructor(home: string, server: ChildProcess, parts: RunningParts) {
    this.major = parts.major;
    this.settings = parts.settings;
    this.password = parts.password;
    this.toolsFolder = parts.toolsFolder;
    this.socketFolder = home;
    if (parts.files !== undefined) this.tls = { caFile: parts.files.caFile, client: parts.files.client };
    this.#server = server;
    this.#ended = once(server, 'exit');
    // A test process that ends early takes its servers along.
    this.#leave = () => {
      server.kill('SIGKILL');
      rmSync(home, { recursive: true, force: true, maxRetries: 3 });
    };
    process.once('exit', this.#leave);
  }

  async query<Row extends pg.QueryResultRow>(sql: string, database = 'postgres'): Promise<Row[]> {
    const client = new pg.Client({
      host: this.socketFolder,
      port: this.settings.port,
      user: 'postgres',
      password: this.password,
      database,
    });
    client.on('error', () => undefined);
    await client.connect();
    try {
      const result: pg.QueryResult<Row> | pg.QueryResult<Row>[] = await client.query<Row>(sql);
      const last = Array.isArray(result) ? result.at(-1) : result;
      return last?.rows ?? [];
    } finally {
      await client.end();
    }
  }

  async log(): Promise<string> {
    return await readFile(join(this.socketFolder, 'log'), 'utf8');
  }

  async stop(): Promise<void> {
    await this.#end('SIGINT');
    process.off('exit', this.#leave);
    await rm(this.socketFolder, { recursive: true, force: true, maxRetries: 5 });
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#server.exitCode === null && this.#server.signalCode === null) {
      this.#server.kill(signal);
      await this.#ended;
    }
  }
}

/** Ours without what would lead a server or an `initdb` elsewhere. */
function serverEnvironment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(PG|LC_|LANG)/.test(name));
  return { ...Object.fromEntries(kept), LC_ALL: 'C' };
}

async function append(path: string, text: string): Promise<void> {
  await writeFile(path, text, { flag: 'a' });
}
