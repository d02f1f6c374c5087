import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { chown, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/until.ts';
import { type Account, accountFor } from './account.ts';
import { CLUSTER_ID, cephConfiguration } from './ceph-configuration.ts';
import { createAuthority } from './certificates.ts';
import { unpackForeign } from './foreign-suite.ts';

const run = promisify(execFile);

/** How long one of its daemons, or a command to it, may take, in ms. */
const START_MS = 120_000;
const OSD_ID = '99999999-2222-3333-4444-555555555555';

export interface CephOptions {
  /** Default: the one that is installed. `sid`: the newest, see foreign-suite.ts. */
  readonly suite?: 'sid';
}

export interface S3Keys {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/**
 * A Ceph cluster of one monitor, one OSD in memory and the S3 gateway, in a folder of its own, on ports of
 * 127.0.0.1.
 */
export interface TestCeph {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly endpoint: string;
  /** The same gateway behind TLS, with a certificate of the authority in `caFile`. */
  readonly tlsEndpoint: string;
  readonly caFile: string;
  /** Keys of a user that may create buckets. */
  readonly keys: S3Keys;
  /** Creates another user, who owns nothing. */
  createUser(name: string): Promise<S3Keys>;
  /** Runs radosgw-admin. */
  admin(...args: string[]): Promise<string>;
  stop(): Promise<void>;
  /** The gateway is gone at once (SIGKILL); the cluster stays until `stop`. */
  kill(): Promise<void>;
}

/**
 * Starts a cluster and waits until it serves, which takes about ten seconds.
 * @throws ForeignSuiteError when one that is not installed cannot be had
 */
export async function startCeph(options: CephOptions = {}): Promise<TestCeph> {
  const installation = options.suite === undefined ? INSTALLED : await foreign(options.suite);
  const home = await mkdtemp(join(tmpdir(), 'dbackup-ceph-'));
  const cluster = new Cluster(home, installation, await accountFor('ceph'));
  try {
    await cluster.start();
    return cluster;
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

/** Where the programs and their plug-ins are. */
interface Installation {
  readonly programs: string;
  readonly config: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

const INSTALLED: Installation = { programs: '/usr/bin', config: [], env: {} };

async function foreign(suite: 'sid'): Promise<Installation> {
  const root = await unpackForeign({
    suite,
    packages: ['radosgw', 'ceph-mon', 'ceph-osd', 'ceph-common', 'python3'],
    programs: ['/usr/bin'],
    libraries: ['ceph'],
  });
  const { stdout } = await run('sh', ['-c', `echo "${root}"/usr/lib/*-linux-gnu/rados-classes`]);
  const classes = stdout.trim();
  const libraries = join(classes, '..');
  return {
    programs: join(root, 'usr/bin'),
    config: [
      `osd_class_dir = ${classes}`,
      `plugin_dir = ${join(libraries, 'ceph')}`,
      `erasure_code_dir = ${join(libraries, 'ceph/erasure-code')}`,
    ],
    env: { PYTHONHOME: join(root, 'usr') },
  };
}

class Cluster implements TestCeph {
  readonly host = '127.0.0.1';
  port = 0;
  endpoint = '';
  tlsEndpoint = '';
  caFile = '';
  keys: S3Keys = { accessKeyId: '', secretAccessKey: '' };
  readonly #home: string;
  readonly #installation: Installation;
  readonly #account: Account | undefined;
  readonly #daemons: ChildProcess[] = [];
  #gateway: ChildProcess | undefined;
  // A test process that ends early takes its servers along.
  readonly #leave = () => {
    for (const daemon of this.#daemons) daemon.kill('SIGKILL');
    rmSync(this.#home, { recursive: true, force: true, maxRetries: 3 });
  };

  constructor(home: string, installation: Installation, account: Account | undefined) {
    this.#home = home;
    this.#installation = installation;
    this.#account = account;
    process.once('exit', this.#leave);
  }

  async start(): Promise<void> {
    await this.#configure();
    await this.#createKeys();
    const monitor = `[v2:127.0.0.1:${await this.#monitorPort()}/0]`;
    const map = join(this.#home, 'monmap');
    await this.#run('monmaptool', ['--create', '--fsid', CLUSTER_ID, '--addv', 'a', monitor, map]);
    await this.#run('ceph-mon', ['-i', 'a', '--mkfs', '--monmap', map, '--keyring', this.#keyring]);
    await this.#spawn('ceph-mon', ['-f', '-i', 'a']);
    await this.#command('osd', 'new', OSD_ID);
    await this.#command('auth', 'import', '-i', this.#keyring);
    await this.#run('ceph-osd', ['-i', '0', '--mkfs', '--osd-uuid', OSD_ID]);
    await this.#spawn('ceph-osd', ['-f', '-i', '0']);
    await until(
      async () => /"num_up_osds":\s*1\b/.test(await this.#command('osd', 'stat', '--format', 'json')),
      START_MS,
    );
    this.#gateway = await this.#spawn('radosgw', ['-f', '-n', 'client.rgw', '--keyring', this.#keyring]);
    await until(async () => await this.#answers(), START_MS);
    this.keys = await this.createUser('lab');
  }

  async createUser(name: string): Promise<S3Keys> {
    const created = await this.admin('user', 'create', `--uid=${name}`, `--display-name=${name}`);
    const { keys } = JSON.parse(created) as { keys: { access_key: string; secret_key: string }[] };
    const [key] = keys;
    if (key === undefined) throw new Error(`the user ${name} has no key`);
    return { accessKeyId: key.access_key, secretAccessKey: key.secret_key };
  }

  async admin(...args: string[]): Promise<string> {
    return await this.#run('radosgw-admin', args);
  }

  async kill(): Promise<void> {
    if (this.#gateway === undefined) return;
    await ended(this.#gateway);
  }

  async stop(): Promise<void> {
    process.removeListener('exit', this.#leave);
    await Promise.all(this.#daemons.map(ended));
    await rm(this.#home, { recursive: true, force: true, maxRetries: 3 });
  }

  get #keyring(): string {
    return join(this.#home, 'keyring');
  }

  async #configure(): Promise<void> {
    const home = this.#home;
    if (this.#account !== undefined) await chown(home, this.#account.uid, this.#account.gid);
    for (const name of ['mon', 'osd', 'rgw', 'run', 'log']) {
      await mkdir(join(home, name));
      if (this.#account !== undefined) await chown(join(home, name), this.#account.uid, this.#account.gid);
    }
    const authority = await createAuthority(home);
    const certificate = await authority.sign('localhost', ['DNS:localhost', 'IP:127.0.0.1']);
    const pem = join(home, 'gateway.pem');
    await writeFile(
      pem,
      (await readFile(certificate.keyFile, 'utf8')) + (await readFile(certificate.certFile, 'utf8')),
    );
    this.caFile = authority.caFile;
    this.port = await freePort();
    const tlsPort = await freePort();
    this.endpoint = `http://127.0.0.1:${this.port}`;
    this.tlsEndpoint = `https://127.0.0.1:${tlsPort}`;
    const frontend = `beast endpoint=127.0.0.1:${this.port} ssl_endpoint=127.0.0.1:${tlsPort} ssl_certificate=${pem}`;
    await writeFile(
      join(home, 'ceph.conf'),
      cephConfiguration(home, await freePort(), frontend, this.#installation.config),
    );
  }

  async #monitorPort(): Promise<string> {
    const config = await readFile(join(this.#home, 'ceph.conf'), 'utf8');
    return /mon_host = \[v2:127\.0\.0\.1:(\d+)/.exec(config)?.[1] ?? '';
  }

  async #createKeys(): Promise<void> {
    const all = ['--cap', 'mon', 'allow *', '--cap', 'osd', 'allow *'];
    const ring = this.#keyring;
    await this.#run('ceph-authtool', [
      '--create-keyring',
      ring,
      '--gen-key',
      '-n',
      'mon.',
      '--cap',
      'mon',
      'allow *',
    ]);
    for (const name of ['client.admin', 'osd.0', 'client.rgw']) {
      await this.#run('ceph-authtool', [ring, '--gen-key', '-n', name, ...all]);
    }
  }

  /** Asks the monitor. Its client is a script of Python, that of the same suite. */
  async #command(...args: string[]): Promise<string> {
    const { programs } = this.#installation;
    return await this.#run('python3', [join(programs, 'ceph'), ...this.#config, ...args]);
  }

  get #config(): string[] {
    return ['-c', join(this.#home, 'ceph.conf')];
  }

  get #environment(): NodeJS.ProcessEnv {
    return {
      PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: this.#home,
      LC_ALL: 'C.UTF-8',
      ...this.#installation.env,
    };
  }

  async #run(program: string, args: readonly string[]): Promise<string> {
    const { stdout } = await run(
      join(this.#installation.programs, program),
      [...args, ...(program === 'python3' ? [] : this.#config)],
      {
        cwd: this.#home,
        ...this.#account,
        env: this.#environment,
        timeout: START_MS,
        maxBuffer: 64 * 1024 * 1024,
      },
    );
    return stdout;
  }

  async #spawn(program: string, args: readonly string[]): Promise<ChildProcess> {
    const log = await open(join(this.#home, 'log', `${program}.out`), 'a');
    const daemon = spawn(join(this.#installation.programs, program), [...args, ...this.#config], {
      cwd: this.#home,
      ...this.#account,
      env: this.#environment,
      stdio: ['ignore', log.fd, log.fd],
    });
    await log.close();
    daemon.on('error', () => undefined);
    this.#daemons.push(daemon);
    return daemon;
  }

  async #answers(): Promise<boolean> {
    const gateway = this.#gateway;
    if (gateway === undefined || gateway.exitCode !== null || gateway.signalCode !== null) {
      const said = await readFile(join(this.#home, 'log', 'radosgw.out'), 'utf8').catch(() => '');
      throw new Error(`the S3 gateway of Ceph did not start: ${said.slice(-2000)}`);
    }
    return await fetch(this.endpoint).then(
      ({ ok }) => ok,
      () => false,
    );
  }
}

async function ended(daemon: ChildProcess): Promise<void> {
  if (daemon.pid === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return;
  const exited = once(daemon, 'exit');
  daemon.kill('SIGKILL');
  await exited;
}
