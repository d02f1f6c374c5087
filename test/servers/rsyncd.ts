import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { RsyncOptionsInput } from '../../lib/destinations/rsync/options.ts';
import { childrenOf } from '../support/child-processes.ts';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/until.ts';
import { type Account, accountFor } from './account.ts';

const PROGRAM = '/usr/bin/rsync';
const START_MS = 60_000;
const USER = 'tester';
const PASSWORD = "pässword of tester='\\ ;1";

/** A module beside the usual ones. */
export interface RsyncModule {
  readonly name: string;
  /** Its folder; absent: that of the module `backups`. */
  readonly path?: string;
  /** Lines of rsyncd.conf for it. */
  readonly config?: readonly string[];
}

export interface RsyncdSettings {
  readonly modules?: readonly RsyncModule[];
  /** Lines of rsyncd.conf for all modules. */
  readonly config?: readonly string[];
}

/**
 * An rsync daemon of Debian's `rsync`, on a port of 127.0.0.1, in a folder of its own. Its modules: `backups`, which
 * wants the password; `readonly`, the same folder, not to be written; `open`, the same for everybody.
 */
export class TestRsyncd {
  readonly host = '127.0.0.1';
  readonly port: number;
  /** The folder of the modules, as it lies on this disk. */
  readonly home: string;
  readonly base = '';
  /** How to connect to it. */
  readonly settings: Extract<RsyncOptionsInput, { transport: 'daemon' }>;
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #leave: () => void;

  private constructor(folder: string, port: number, process_: ChildProcess) {
    this.port = port;
    this.home = join(folder, 'home');
    this.settings = {
      transport: 'daemon',
      host: this.host,
      port,
      module: 'backups',
      user: USER,
      password: PASSWORD,
      timeout: 30,
    };
    this.#folder = folder;
    this.#process = process_;
    this.#ended = once(process_, 'exit');
    // A test process that ends early takes its servers along.
    this.#leave = () => {
      process_.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    };
    process.once('exit', this.#leave);
  }

  static async start(settings: RsyncdSettings = {}): Promise<TestRsyncd> {
    const folder = await mkdtemp(join(tmpdir(), 'dbackup-rsyncd-'));
    try {
      const port = await freePort();
      await prepare(folder, settings, await accountFor('nobody'));
      const options = [`--port=${port}`, '--address=127.0.0.1', `--config=${join(folder, 'rsyncd.conf')}`];
      const child = spawn(PROGRAM, ['--daemon', '--no-detach', ...options], { cwd: '/', stdio: 'ignore' });
      const server = new TestRsyncd(folder, port, child);
      await server.#ready();
      return server;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Processes that serve a connection now. */
  sessions(): number[] {
    return this.#process.pid === undefined ? [] : childrenOf(this.#process.pid);
  }

  /** Kills what serves connections (SIGKILL); new connections are accepted. */
  killSessions(): void {
    for (const pid of this.sessions()) killQuietly(pid);
  }

  async log(): Promise<string> {
    return await readFile(join(this.#folder, 'log'), 'utf8');
  }

  async stop(): Promise<void> {
    const sessions = this.sessions();
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGKILL');
      await this.#ended;
    }
    for (const pid of sessions) killQuietly(pid);
    process.off('exit', this.#leave);
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #ready(): Promise<void> {
    await until(async () => {
      if (this.#process.exitCode !== null) throw new Error(`rsync --daemon ended: ${await this.log()}`);
      return await listens(this.port);
    }, START_MS);
  }
}

async function prepare(
  folder: string,
  settings: RsyncdSettings,
  account: Account | undefined,
): Promise<void> {
  const home = join(folder, 'home');
  await mkdir(home);
  const { modules = [], config = [] } = settings;
  const access = ['auth users = tester', `secrets file = ${join(folder, 'secrets')}`];
  const all: RsyncModule[] = [
    { name: 'backups', config: access },
    { name: 'readonly', config: [...access, 'read only = yes'] },
    { name: 'open' },
    ...modules,
  ];
  const lines = [
    `log file = ${join(folder, 'log')}`,
    // As the tests want it: answers at once.
    'socket options = TCP_NODELAY',
    'use chroot = no',
    'reverse lookup = no',
    'read only = no',
    'list = no',
    ...(account === undefined ? [] : [`uid = ${account.uid}`, `gid = ${account.gid}`]),
    ...config,
    ...all.flatMap((each) => [`[${each.name}]`, `path = ${each.path ?? home}`, ...(each.config ?? [])]),
    '',
  ];
  await writeFile(join(folder, 'rsyncd.conf'), lines.join('\n'));
  await writeFile(join(folder, 'secrets'), `${USER}:${PASSWORD}\n`, { mode: 0o600 });
  if (account !== undefined) await chown(home, account.uid, account.gid);
  await chmod(folder, 0o755);
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    const end = (answer: boolean) => () => {
      socket.destroy();
      resolve(answer);
    };
    socket.once('connect', end(true)).once('error', end(false));
  });
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
