import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FtpOptionsInput } from '../../lib/destinations/ftp/options.ts';
import { childrenOf } from '../support/child-processes.ts';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/until.ts';
import { type Account, accountFor } from './account.ts';
import { unpackForeign } from './foreign-suite.ts';

const START_MS = 60_000;

/**
 * A vsftpd on a port of 127.0.0.1, as an unprivileged user and therefore for anonymous users only. Debian's
 * package of it conflicts with ProFTPD's, so that it is unpacked from another suite.
 */
export class TestVsftpd {
  /** The login folder, as it lies on this disk. */
  readonly home: string;
  readonly settings: FtpOptionsInput;
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #leave: () => void;

  private constructor(folder: string, port: number, child: ChildProcess) {
    this.home = join(folder, 'home');
    this.settings = { host: '127.0.0.1', port, security: 'plain', timeout: 30 };
    this.#folder = folder;
    this.#process = child;
    this.#ended = once(child, 'exit');
    // A test process that ends early takes its servers along.
    this.#leave = () => {
      child.kill('SIGKILL');
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    };
    process.once('exit', this.#leave);
  }

  /** @throws ForeignSuiteError when the package cannot be had */
  static async start(): Promise<TestVsftpd> {
    const root = await unpackForeign({ suite: 'trixie', packages: ['vsftpd'], programs: ['/usr/sbin'] });
    const folder = await mkdtemp(join(tmpdir(), 'dbackup-vsftpd-'));
    try {
      const account = await accountFor('ftp');
      const port = await freePort();
      await prepare(folder, port, account);
      const child = spawn(join(root, 'usr/sbin/vsftpd'), [join(folder, 'vsftpd.conf')], {
        ...account,
        cwd: '/',
        stdio: ['ignore', 'ignore', 'inherit'],
      });
      const server = new TestVsftpd(folder, port, child);
      await until(async () => await listens(port), START_MS);
      return server;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async log(): Promise<string> {
    return await readFile(join(this.#folder, 'log'), 'utf8');
  }

  async stop(): Promise<void> {
    const { pid } = this.#process;
    const sessions = pid === undefined ? [] : childrenOf(pid);
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      this.#process.kill('SIGKILL');
      await this.#ended;
    }
    for (const session of sessions) killQuietly(session);
    process.off('exit', this.#leave);
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function prepare(folder: string, port: number, account: Account | undefined): Promise<void> {
  const home = join(folder, 'home');
  const file = join(folder, 'vsftpd.conf');
  await mkdir(home);
  await mkdir(join(folder, 'empty'));
  const lines = [
    'listen=YES',
    'listen_address=127.0.0.1',
    `listen_port=${port}`,
    'background=NO',
    'run_as_launching_user=YES',
    'one_process_model=YES',
    'seccomp_sandbox=NO',
    'local_enable=NO',
    'anonymous_enable=YES',
    'no_anon_password=YES',
    `anon_root=${home}`,
    'write_enable=YES',
    'max_clients=0',
    'max_per_ip=0',
    'anon_upload_enable=YES',
    'anon_mkdir_write_enable=YES',
    'anon_other_write_enable=YES',
    'anon_world_readable_only=NO',
    `secure_chroot_dir=${folder}/empty`,
    `vsftpd_log_file=${folder}/log`,
    '',
  ];
  await writeFile(file, lines.join('\n'));
  await chmod(folder, 0o755);
  if (account === undefined) return;
  for (const each of [folder, home, file]) await chown(each, account.uid, account.gid);
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
