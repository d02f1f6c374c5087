import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { FtpOptionsInput } from '../../lib/destinations/ftp/options.ts';
import { childrenOf } from '../support/child-processes.ts';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/until.ts';
import { type Account, accountFor } from './account.ts';
import { createAuthority } from './certificates.ts';

const run = promisify(execFile);

const PROGRAM = '/usr/sbin/proftpd';
const START_MS = 60_000;
const USER = 'tester';
const PASSWORD = "pässword of tester='\\ :1";

export interface ProftpdSettings {
  /** How connections are encrypted; `explicit-tls` when absent. */
  readonly security?: 'explicit-tls' | 'implicit-tls' | 'plain';
  /** Lines for proftpd.conf, after ours. */
  readonly config?: readonly string[];
}

/** A ProFTPD of Debian's `proftpd-core` and `proftpd-mod-crypto`, on a port of 127.0.0.1, in a folder of its own. */
export class TestProftpd {
  readonly host = '127.0.0.1';
  readonly port: number;
  /** The login folder, as it lies on this disk. */
  readonly home: string;
  readonly caFile: string;
  /** Another authority, which the server knows nothing of. */
  readonly otherCaFile: string;
  /** How to connect to it. */
  readonly settings: FtpOptionsInput;
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #leave: () => void;

  private constructor(place: Place, process_: ChildProcess) {
    this.port = place.port;
    this.home = join(place.folder, 'home');
    this.caFile = place.caFile;
    this.otherCaFile = place.otherCaFile;
    this.settings = {
      host: this.host,
      port: place.port,
      security: place.security,
      caFile: place.security === 'plain' ? '' : place.caFile,
      user: USER,
      password: PASSWORD,
      timeout: 30,
    };
    this.#folder = place.folder;
    this.#process = process_;
    this.#ended = once(process_, 'exit');
    // A test process that ends early takes its servers along.
    this.#leave = () => {
      process_.kill('SIGKILL');
      rmSync(place.folder, { recursive: true, force: true, maxRetries: 3 });
    };
    process.once('exit', this.#leave);
  }

  static async start(settings: ProftpdSettings = {}): Promise<TestProftpd> {
    const folder = await mkdtemp(join(tmpdir(), 'dbackup-proftpd-'));
    try {
      const account = await accountFor('proftpd');
      const place = await prepare(folder, settings, account);
      const server = new TestProftpd(place, startProcess(place, account));
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
      if (this.#process.exitCode !== null) throw new Error(`proftpd ended: ${await this.log()}`);
      return await listens(this.port);
    }, START_MS);
  }
}

interface Place {
  readonly folder: string;
  readonly port: number;
  readonly security: 'explicit-tls' | 'implicit-tls' | 'plain';
  readonly caFile: string;
  readonly otherCaFile: string;
}

async function prepare(
  folder: string,
  { security = 'explicit-tls', config = [] }: ProftpdSettings,
  account: Account | undefined,
): Promise<Place> {
  const home = join(folder, 'home');
  await mkdir(home);
  const [authority, other] = await Promise.all([
    createAuthority(folder),
    createAuthority(folder, 'other-ca'),
  ]);
  const certificate = await authority.sign('ftp', ['IP:127.0.0.1']);
  const { uid, gid } = account ?? userInfo();
  const names = await namesOf(uid, gid);
  const { stdout: hash } = await run('openssl', ['passwd', '-6', PASSWORD]);
  await writeFile(join(folder, 'users'), `${USER}:${hash.trim()}:${uid}:${gid}::${home}:/bin/false\n`, {
    mode: 0o600,
  });
  const place = {
    folder,
    port: await freePort(),
    security,
    caFile: authority.caFile,
    otherCaFile: other.caFile,
  };
  const lines = [...baseConfig(place, names), ...tlsConfig(place, certificate), ...config, ''];
  await writeFile(join(folder, 'proftpd.conf'), lines.join('\n'));
  if (account !== undefined) {
    for (const file of [folder, home, join(folder, 'users'), certificate.keyFile])
      await chown(file, uid, gid);
  }
  await chmod(folder, 0o755);
  return place;
}

function baseConfig({ folder, port }: Place, names: { user: string; group: string }): string[] {
  return [
    'ModulePath /usr/lib/proftpd',
    'LoadModule mod_tls.c',
    'ServerType standalone',
    'DefaultServer on',
    `Port ${port}`,
    'DefaultAddress 127.0.0.1',
    'UseIPv6 off',
    'UseReverseDNS off',
    `User ${names.user}`,
    `Group ${names.group}`,
    `PidFile ${folder}/pid`,
    `ScoreboardFile ${folder}/scoreboard`,
    `SystemLog ${folder}/log`,
    'TransferLog none',
    'WtmpLog off',
    '<IfModule mod_delay.c>',
    '  DelayEngine off',
    '</IfModule>',
    'ControlsEngine off',
    'AuthOrder mod_auth_file.c',
    `AuthUserFile ${folder}/users`,
    'RequireValidShell off',
    'AllowOverwrite on',
    'MaxInstances none',
  ];
}

function tlsConfig({ security }: Place, certificate: { certFile: string; keyFile: string }): string[] {
  if (security === 'plain') return [];
  return [
    'TLSEngine on',
    'TLSRequired on',
    `TLSECCertificateFile ${certificate.certFile}`,
    `TLSECCertificateKeyFile ${certificate.keyFile}`,
    ...(security === 'implicit-tls' ? ['TLSOptions UseImplicitSSL'] : []),
  ];
}

/** The names of the account, which the configuration needs instead of its numbers. */
async function namesOf(uid: number, gid: number): Promise<{ user: string; group: string }> {
  return { user: await nameIn('/etc/passwd', uid), group: await nameIn('/etc/group', gid) };
}

async function nameIn(file: string, id: number): Promise<string> {
  const lines = (await readFile(file, 'utf8')).split('\n').map((line) => line.split(':'));
  const name = lines.find(([, , number]) => number === String(id))?.[0];
  if (name === undefined) throw new Error(`${file} has no name for ${id}`);
  return name;
}

function startProcess({ folder }: Place, account: Account | undefined): ChildProcess {
  return spawn(PROGRAM, ['-n', '-q', '-c', join(folder, 'proftpd.conf')], {
    ...account,
    cwd: '/',
    stdio: 'ignore',
  });
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
