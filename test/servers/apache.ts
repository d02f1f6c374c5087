import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { WebdavOptionsInput } from '../../lib/destinations/webdav/options.ts';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/until.ts';
import { type Account, accountFor } from './account.ts';
import { createAuthority } from './certificates.ts';

const run = promisify(execFile);

const PROGRAM = '/usr/sbin/apache2';
const MODULES = '/usr/lib/apache2/modules';
const START_MS = 60_000;
const USER = 'tester';
const PASSWORD = 'pässword of tester=\'\\ "1';
const REALM = 'backups';

export interface ApacheSettings {
  readonly tls?: boolean;
  readonly auth?: 'basic' | 'digest';
  /** Lines for its configuration, after ours. */
  readonly config?: readonly string[];
  /** Where the files are; a folder of its own when absent. */
  readonly root?: string;
}

/** An Apache of Debian's `apache2` with mod_dav_fs, on a port of 127.0.0.1, in a folder of its own. */
export class TestApache {
  readonly host = '127.0.0.1';
  readonly port: number;
  /** What it serves below /dav, as it lies on this disk. */
  readonly root: string;
  readonly caFile: string;
  /** Another authority, which the server knows nothing of. */
  readonly otherCaFile: string;
  readonly settings: WebdavOptionsInput;
  readonly #folder: string;
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #leave: () => void;

  private constructor(place: Place, child: ChildProcess) {
    this.port = place.port;
    this.root = place.root;
    this.caFile = place.caFile;
    this.otherCaFile = place.otherCaFile;
    this.settings = {
      url: `${place.tls ? 'https' : 'http'}://127.0.0.1:${place.port}/dav`,
      auth: place.auth,
      user: USER,
      password: PASSWORD,
      caFile: place.tls ? place.caFile : '',
      timeout: 30,
    };
    this.#folder = place.folder;
    this.#process = child;
    this.#ended = once(child, 'exit');
    // A test process that ends early takes its servers along.
    this.#leave = () => {
      killGroup(child);
      rmSync(place.folder, { recursive: true, force: true, maxRetries: 3 });
    };
    process.once('exit', this.#leave);
  }

  static async start(settings: ApacheSettings = {}): Promise<TestApache> {
    const folder = await mkdtemp(join(tmpdir(), 'dbackup-apache-'));
    try {
      const account = await accountFor('www-data');
      const place = await prepare(folder, settings, account);
      const child = spawn(PROGRAM, ['-f', join(folder, 'apache.conf'), '-D', 'FOREGROUND'], {
        ...account,
        cwd: '/',
        stdio: ['ignore', 'ignore', 'inherit'],
        detached: true,
      });
      const server = new TestApache(place, child);
      await until(async () => {
        if (child.exitCode !== null) throw new Error(`apache2 ended: ${await server.log()}`);
        return await listens(place.port);
      }, START_MS);
      return server;
    } catch (error) {
      await rm(folder, { recursive: true, force: true });
      throw error;
    }
  }

  async log(): Promise<string> {
    return await readFile(join(this.#folder, 'log'), 'utf8').catch(() => '');
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null && this.#process.signalCode === null) {
      killGroup(this.#process);
      await this.#ended;
    }
    process.off('exit', this.#leave);
    await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

interface Place {
  readonly folder: string;
  readonly root: string;
  readonly port: number;
  readonly tls: boolean;
  readonly auth: 'basic' | 'digest';
  readonly caFile: string;
  readonly otherCaFile: string;
}

async function prepare(
  folder: string,
  { tls = false, auth = 'basic', config = [], root = join(folder, 'root') }: ApacheSettings,
  account: Account | undefined,
): Promise<Place> {
  await mkdir(root, { recursive: true });
  const [authority, other] = await Promise.all([
    createAuthority(folder),
    createAuthority(folder, 'other-ca'),
  ]);
  const certificate = await authority.sign('dav', ['IP:127.0.0.1']);
  const files = { caFile: authority.caFile, otherCaFile: other.caFile };
  const place = { folder, root, port: await freePort(), tls, auth, ...files };
  await writeFile(join(folder, 'users'), await userFile(auth));
  const lines = [
    ...baseConfig(place),
    ...(tls
      ? [
          'SSLEngine on',
          `SSLCertificateFile ${certificate.certFile}`,
          `SSLCertificateKeyFile ${certificate.keyFile}`,
        ]
      : []),
    ...config,
    '',
  ];
  await writeFile(join(folder, 'apache.conf'), lines.join('\n'));
  if (account !== undefined) {
    for (const file of [folder, root, certificate.keyFile]) await chown(file, account.uid, account.gid);
  }
  await chmod(folder, 0o755);
  return place;
}

function baseConfig({ folder, root, port, tls, auth }: Place): string[] {
  const modules = [
    'mpm_event',
    'alias',
    'authn_core',
    'authn_file',
    'authz_core',
    'authz_user',
    `auth_${auth}`,
    'dav',
    'dav_fs',
  ];
  if (tls) modules.push('ssl', 'socache_shmcb');
  const type = auth === 'basic' ? 'Basic' : 'Digest';
  return [
    `ServerRoot ${folder}`,
    'ServerName 127.0.0.1',
    `Listen 127.0.0.1:${port}`,
    `PidFile ${folder}/pid`,
    `ErrorLog ${folder}/log`,
    `DefaultRuntimeDir ${folder}`,
    `Mutex file:${folder}`,
    ...modules.map((name) => `LoadModule ${name}_module ${MODULES}/mod_${name}.so`),
    'StartServers 1',
    'ThreadsPerChild 32',
    'MaxRequestWorkers 64',
    `DavLockDB ${folder}/locks`,
    `DocumentRoot ${folder}`,
    `Alias /dav ${root}`,
    `<Directory ${root}>`,
    '  Dav On',
    '  AllowOverride None',
    // Its default of 1 GiB is too small for backups.
    '  LimitRequestBody 0',
    `  AuthType ${type}`,
    `  AuthName ${REALM}`,
    `  Auth${auth === 'basic' ? 'Basic' : 'Digest'}Provider file`,
    `  AuthUserFile ${folder}/users`,
    '  Require valid-user',
    '</Directory>',
  ];
}

async function userFile(auth: 'basic' | 'digest'): Promise<string> {
  if (auth === 'digest') {
    const hash = createHash('md5').update(`${USER}:${REALM}:${PASSWORD}`).digest('hex');
    return `${USER}:${REALM}:${hash}\n`;
  }
  const { stdout } = await run('openssl', ['passwd', '-6', PASSWORD]);
  return `${USER}:${stdout.trim()}\n`;
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

/** The server and its workers, which are a process group of their own. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
