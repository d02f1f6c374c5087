import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, rmSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SmbOptionsInput } from '../../lib/destinations/smb/options.ts';
import { childrenOf } from '../support/child-processes.ts';
import { freePort } from '../support/free-port.ts';
import { skipBecause } from '../support/skip.ts';
import { until } from '../support/until.ts';
import { type Account, accountFor } from './account.ts';

const PROGRAM = '/usr/sbin/smbd';
const START_MS = 60_000;
/** A user of the machine, under whom everything is stored. */
const USER = 'nobody';
const PASSWORD = `pässword%of "tester"='\\ :;1`;

export interface SambaSettings {
  /** Lines of smb.conf for the whole server, after ours. */
  readonly config?: readonly string[];
  /** Another folder for the share `store`; it belongs to the caller. */
  readonly folder?: string;
}

/**
 * A Samba of Debian's `samba`, on a port of 127.0.0.1, in folders of its own, with a list of users of its own. Its
 * shares are `store`, `read-only`, `encrypted` (which takes encrypted connections only) and `guests`; all show the
 * same folder.
 */
export class TestSamba {
  readonly host = '127.0.0.1';
  readonly port: number;
  /** The folder of the shares, as it lies on this disk. */
  readonly share: string;
  /** How to connect to it. */
  readonly settings: SmbOptionsInput & { readonly user: string; readonly password: string };
  readonly account: Account;
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #leave: () => void;

  private constructor({ folder, port, share, account }: Place, server: ChildProcess) {
    this.port = port;
    this.share = share;
    this.account = account;
    this.settings = {
      host: this.host,
      port,
      share: 'store',
      user: USER,
      password: PASSWORD,
      timeout: 60,
    };
    this.#folder = folder;
    this.#process = server;
    this.#ended = once(server, 'exit');
    // A test process that ends early takes its servers along.
    this.#leave = () => {
      killGroup(server);
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    };
    process.once('exit', this.#leave);
  }

  /** Starts one; skips the tests where this user may not: smbd changes its user. */
  static async startOrSkip(context: Mocha.Context, settings: SambaSettings = {}): Promise<TestSamba> {
    if (process.getuid?.() !== 0) return skipBecause(context, 'smbd needs root');
    return await TestSamba.start(settings);
  }

  static async start(settings: SambaSettings = {}): Promise<TestSamba> {
    const folder = await mkdtemp(join(tmpdir(), 'dbackup-samba-'));
    try {
      const place = await prepare(folder, settings);
      const server = new TestSamba(place, startProcess(folder));
      await server.#ready();
      return server;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  /** Processes that serve a connection now. */
  sessions(): number[] {
    const { pid } = this.#process;
    return pid === undefined ? [] : childrenOf(pid).filter((child) => nameOf(child) === 'smbd');
  }

  /** Kills what serves the connections that are open now; new ones can be opened. */
  killSessions(): void {
    for (const pid of this.sessions()) killQuietly(pid);
  }

  /** Adds a line to the user's account in the server: `-d` disables, `-e` enables it. */
  async changeUser(...args: readonly string[]): Promise<void> {
    await smbpasswd(this.#folder, [...args, USER]);
  }

  async log(): Promise<string> {
    return await readFile(join(this.#folder, 'log'), 'utf8').catch(() => '');
  }

  async stop(): Promise<void> {
    killGroup(this.#process);
    if (this.#process.exitCode === null && this.#process.signalCode === null) await this.#ended;
    process.off('exit', this.#leave);
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  async #ready(): Promise<void> {
    await until(async () => {
      if (this.#process.exitCode !== null) throw new Error(`smbd ended: ${await this.log()}`);
      return await listens(this.port);
    }, START_MS);
  }
}

interface Place {
  readonly folder: string;
  readonly port: number;
  readonly share: string;
  readonly account: Account;
}

async function prepare(folder: string, { config = [], folder: other }: SambaSettings): Promise<Place> {
  const account = await accountFor(USER);
  if (account === undefined) throw new Error('smbd needs root');
  await chmod(folder, 0o755);
  const share = other ?? join(folder, 'share');
  if (other === undefined) {
    await mkdir(share);
    await chown(share, account.uid, account.gid);
  }
  const port = await freePort();
  // Its processes see by the files in `lock` which others live, also while they act as the user.
  for (const name of STATE_FOLDERS)
    await mkdir(join(folder, name), { mode: name === 'private' ? 0o700 : 0o755 });
  await writeFile(
    configurationOf(folder),
    [...globalLines(folder, port), ...config, ...shares(share), ''].join('\n'),
  );
  await smbpasswd(folder, ['-a', '-s', USER], `${PASSWORD}\n${PASSWORD}\n`);
  return { folder, port, share, account };
}

const STATE_FOLDERS = ['private', 'lock', 'state', 'cache', 'pid', 'ncalrpc'];

function globalLines(folder: string, port: number): string[] {
  return [
    '[global]',
    'workgroup = TESTS',
    'netbios name = DBACKUPTEST',
    'server role = standalone server',
    `smb ports = ${port}`,
    'interfaces = 127.0.0.1',
    'bind interfaces only = yes',
    'disable netbios = yes',
    'load printers = no',
    'printcap name = /dev/null',
    'disable spoolss = yes',
    'rpc start on demand helpers = no',
    'map to guest = never',
    'server min protocol = SMB2',
    'unix charset = UTF-8',
    `log file = ${folder}/log`,
    `private dir = ${folder}/private`,
    `lock directory = ${folder}/lock`,
    `state directory = ${folder}/state`,
    `cache directory = ${folder}/cache`,
    `pid directory = ${folder}/pid`,
    `ncalrpc dir = ${folder}/ncalrpc`,
    `passdb backend = tdbsam:${folder}/private/passdb.tdb`,
  ];
}

function shares(folder: string): string[] {
  const share = (name: string, ...lines: readonly string[]) => [
    `[${name}]`,
    `path = ${folder}`,
    `force user = ${USER}`,
    ...lines,
  ];
  return [
    ...share('store', 'read only = no'),
    ...share('read-only', 'read only = yes'),
    ...share('encrypted', 'read only = no', 'smb encrypt = required'),
    ...share('guests', 'read only = no', 'guest ok = yes'),
  ];
}

function configurationOf(folder: string): string {
  return join(folder, 'smb.conf');
}

async function smbpasswd(folder: string, args: readonly string[], input = ''): Promise<void> {
  const child = execFile('smbpasswd', ['-c', configurationOf(folder), ...args]);
  let said = '';
  child.stdout?.on('data', (text) => {
    said += text;
  });
  child.stderr?.on('data', (text) => {
    said += text;
  });
  child.stdin?.end(input);
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`smbpasswd failed: ${said}`);
}

/** In a process group of its own, so that all of its processes can be ended at once. */
function startProcess(folder: string): ChildProcess {
  const args = ['--foreground', '--no-process-group', `--configfile=${configurationOf(folder)}`];
  return spawn(PROGRAM, args, { cwd: '/', stdio: 'ignore', detached: true });
}

function killGroup({ pid }: ChildProcess): void {
  if (pid !== undefined) killQuietly(-pid);
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return '';
  }
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
