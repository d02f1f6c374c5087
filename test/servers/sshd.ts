import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { chmod, chown, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { SshOptions } from '../../lib/ssh/options.ts';
import { childrenOf } from '../support/child-processes.ts';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/until.ts';

const run = promisify(execFile);

const SSHD = '/usr/sbin/sshd';
/** The account of the server when the tests run as root: it exists inside the server's namespace only. */
const ACCOUNT = { user: 'tester', id: 64_321, password: "pässword of tester='\\ :1" };
/** Where the server sees the folder that it keeps its users in: all of its path belongs to root. */
const JAIL = '/mnt';
const START_MS = 60_000;

export interface SshdOptions {
  /** How the server takes passwords; needs root. Absent: not at all. */
  readonly passwords?: 'password' | 'keyboard-interactive';
  /** Lines of sshd_config that come before ours. */
  readonly config?: readonly string[];
  /** What serves SFTP; default `internal-sftp`. */
  readonly sftp?: string;
  /** Shows its users the folder of SFTP tests only, as the root of the server; needs root. */
  readonly chroot?: boolean;
}

export interface TestKey {
  readonly file: string;
  readonly text: string;
}

export interface TestAgent {
  readonly socket: string;
  stop(): Promise<void>;
}

/** An OpenSSH server of a test, in a folder of its own, on a port of 127.0.0.1. */
export interface TestSshd {
  readonly host: '127.0.0.1';
  readonly port: number;
  readonly user: string;
  readonly password: string;
  /** A folder of its user below the login folder, as it lies on this disk; with `chroot` the root of the server. */
  readonly folder: string;
  /** The same as the storage's folder in the settings of SFTP. */
  readonly root: string;
  /** Fingerprints of its host keys; it has both. */
  readonly hostKeys: { readonly ed25519: string; readonly rsa: string };
  readonly key: TestKey;
  /** Also accepted. */
  readonly encryptedKey: TestKey & { readonly passphrase: string };
  /** Never accepted. */
  readonly strangersKey: TestKey;
  /** Signs in with `key`; trusts the ed25519 host key. */
  readonly settings: SshOptions;
  /** Ids of the processes that serve connections now. */
  sessions(): number[];
  /** Kills the processes that serve connections (SIGKILL); new connections are accepted. */
  killSessions(): void;
  log(): Promise<string>;
  /** Starts an ssh-agent that holds the key. */
  startAgent(key?: TestKey): Promise<TestAgent>;
  stop(): Promise<void>;
  /** The server and its connections are gone at once (SIGKILL); its folder stays until `stop`. */
  kill(): Promise<void>;
}

/** Starts a server and waits until it listens. */
export async function startSshd(options: SshdOptions = {}): Promise<TestSshd> {
  const home = await mkdtemp(join(tmpdir(), 'dbackup-sshd-'));
  try {
    await chmod(home, 0o755);
    const keys = await createKeys(home);
    const asRoot = process.getuid?.() === 0;
    if (!asRoot && options.passwords !== undefined) throw new Error('only root can check passwords');
    await mkdir(join(home, 'jail', 'storage'), { recursive: true });
    if (asRoot) await createAccount(home);
    const { port, server } = await start(home, options, asRoot);
    const user = asRoot ? ACCOUNT.user : userInfo().username;
    return new RunningSshd(home, server, { port, user, keys, chroot: options.chroot === true });
  } catch (error) {
    await rm(home, { recursive: true, force: true });
    throw error;
  }
}

interface Keys {
  readonly key: TestKey;
  readonly encryptedKey: TestKey & { readonly passphrase: string };
  readonly strangersKey: TestKey;
  readonly hostKeys: { readonly ed25519: string; readonly rsa: string };
}

async function createKeys(home: string): Promise<Keys> {
  const passphrase = 'a phrase of the key';
  const [key, encrypted, strangersKey, ed25519, rsa] = await Promise.all([
    createKey(join(home, 'key')),
    createKey(join(home, 'encrypted-key'), 'rsa', passphrase),
    createKey(join(home, 'strangers-key')),
    createKey(join(home, 'host-ed25519')),
    createKey(join(home, 'host-rsa'), 'rsa'),
  ]);
  const accepted = [key, encrypted].map(({ file }) => readFile(`${file}.pub`, 'utf8'));
  await writeFile(join(home, 'authorized-keys'), (await Promise.all(accepted)).join(''));
  return {
    key,
    encryptedKey: { ...encrypted, passphrase },
    strangersKey,
    hostKeys: { ed25519: await fingerprintOf(ed25519), rsa: await fingerprintOf(rsa) },
  };
}

async function createKey(file: string, type = 'ed25519', passphrase = ''): Promise<TestKey> {
  const size = type === 'rsa' ? ['-b', '2048'] : [];
  await run('ssh-keygen', ['-q', '-t', type, ...size, '-N', passphrase, '-C', 'test', '-f', file]);
  return { file, text: await readFile(file, 'utf8') };
}

async function fingerprintOf({ file }: TestKey): Promise<string> {
  const { stdout } = await run('ssh-keygen', ['-lf', `${file}.pub`]);
  return stdout.split(' ')[1] ?? '';
}

/** Files that the server sees in the place of the machine's own. */
async function createAccount(home: string): Promise<void> {
  const { user, id, password } = ACCOUNT;
  const hashing = run('openssl', ['passwd', '-6', '-stdin']);
  hashing.child.stdin?.end(`${password}\n`);
  const hash = (await hashing).stdout.trim();
  const system = (file: string) => readFile(`/etc/${file}`, 'utf8');
  const pam = [
    'auth required pam_unix.so',
    'account required pam_permit.so',
    'session required pam_permit.so',
  ];
  await Promise.all([
    writeFile(join(home, 'passwd'), `${await system('passwd')}${user}:x:${id}:${id}::${home}:/bin/sh\n`),
    writeFile(join(home, 'group'), `${await system('group')}${user}:x:${id}:\n`),
    writeFile(join(home, 'shadow'), `${await system('shadow')}${user}:${hash}:19000:0:99999:7:::\n`, {
      mode: 0o600,
    }),
    writeFile(join(home, 'pam'), `${pam.join('\n')}\n`),
    chown(join(home, 'jail', 'storage'), id, id),
    // Where sshd keeps what it separates; the package's unit makes it at each start.
    mkdir('/run/sshd', { recursive: true, mode: 0o755 }),
  ]);
}

async function start(home: string, options: SshdOptions, asRoot: boolean) {
  const { passwords, config = [], sftp = 'internal-sftp', chroot = false } = options;
  for (let attempt = 1; ; attempt += 1) {
    const port = await freePort();
    const lines = [
      ...config,
      `Port ${port}`,
      'ListenAddress 127.0.0.1',
      `HostKey ${join(home, 'host-ed25519')}`,
      `HostKey ${join(home, 'host-rsa')}`,
      `AuthorizedKeysFile ${join(home, 'authorized-keys')}`,
      'PidFile none',
      'StrictModes no',
      'LogLevel VERBOSE',
      'MaxStartups 100',
      'UseDNS no',
      'PubkeyAuthentication yes',
      `PasswordAuthentication ${passwords === 'password' ? 'yes' : 'no'}`,
      `KbdInteractiveAuthentication ${passwords === 'keyboard-interactive' ? 'yes' : 'no'}`,
      `UsePAM ${asRoot ? 'yes' : 'no'}`,
      `Subsystem sftp ${sftp}`,
      ...(chroot ? [`ChrootDirectory ${JAIL}`, 'ForceCommand internal-sftp'] : []),
    ];
    await writeFile(join(home, 'sshd_config'), `${lines.join('\n')}\n`);
    const log = await open(join(home, 'log'), 'a');
    const [program, ...args] = commandOf(home, asRoot);
    const server = spawn(program, args, { stdio: ['ignore', log.fd, log.fd] });
    await log.close();
    if (await listens(server, port)) return { port, server };
    const said = await readFile(join(home, 'log'), 'utf8');
    if (attempt === 3 || !said.includes('Address already in use')) {
      throw new Error(`sshd did not start: ${said.slice(-2000)}`);
    }
  }
}

/** As root: in a mount namespace of its own, where it finds our account. */
function commandOf(home: string, asRoot: boolean): [string, ...string[]] {
  const sshd = `exec ${SSHD} -D -e -f '${join(home, 'sshd_config')}'`;
  if (!asRoot) return ['/bin/sh', '-c', sshd];
  const places = {
    passwd: '/etc/passwd',
    group: '/etc/group',
    shadow: '/etc/shadow',
    pam: '/etc/pam.d/sshd',
  };
  const mounts = Object.entries({ ...places, jail: JAIL }).map(
    ([file, place]) => `mount --bind '${join(home, file)}' ${place}`,
  );
  return ['unshare', '--mount', '/bin/sh', '-c', [...mounts, sshd].join(' && ')];
}

/** Whether the server has begun to listen; false when it has ended. */
async function listens(server: ChildProcess, port: number): Promise<boolean> {
  let failed = false;
  server.once('error', () => {
    failed = true;
  });
  let ready = false;
  await until(async () => {
    if (failed || server.exitCode !== null || server.signalCode !== null) return true;
    ready = await accepts(port);
    return ready;
  }, START_MS);
  return ready && server.exitCode === null;
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

class RunningSshd implements TestSshd {
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly user: string;
  readonly password = ACCOUNT.password;
  readonly folder: string;
  readonly root: string;
  readonly hostKeys: Keys['hostKeys'];
  readonly key: TestKey;
  readonly encryptedKey: Keys['encryptedKey'];
  readonly strangersKey: TestKey;
  readonly settings: SshOptions;
  readonly #home: string;
  readonly #server: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #leave: () => void;

  constructor(
    home: string,
    server: ChildProcess,
    parts: { port: number; user: string; keys: Keys; chroot: boolean },
  ) {
    const { port, user, keys, chroot } = parts;
    this.folder = join(home, 'jail', 'storage');
    this.root = chroot ? '/storage' : 'jail/storage';
    this.#home = home;
    this.#server = server;
    this.#ended = once(server, 'exit');
    this.port = port;
    this.user = user;
    this.hostKeys = keys.hostKeys;
    this.key = keys.key;
    this.encryptedKey = keys.encryptedKey;
    this.strangersKey = keys.strangersKey;
    this.settings = {
      host: this.host,
      port,
      user,
      hostKeys: [keys.hostKeys.ed25519],
      auth: 'key',
      privateKey: keys.key.text,
      keyFile: '',
    };
    // A test process that ends early takes its servers along.
    this.#leave = () => {
      server.kill('SIGKILL');
      rmSync(home, { recursive: true, force: true, maxRetries: 3 });
    };
    process.once('exit', this.#leave);
  }

  sessions(): number[] {
    return this.#server.pid === undefined ? [] : descendantsOf(this.#server.pid);
  }

  killSessions(): void {
    for (const pid of this.sessions()) killQuietly(pid);
  }

  async log(): Promise<string> {
    return await readFile(join(this.#home, 'log'), 'utf8');
  }

  async startAgent(key: TestKey = this.key): Promise<TestAgent> {
    const folder = await mkdtemp(join(this.#home, 'agent-'));
    const socket = join(folder, 'socket');
    const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' });
    const ended = once(agent, 'exit');
    const env = { ...process.env, SSH_AUTH_SOCK: socket };
    await until(async () => {
      const added = run('ssh-add', ['-q', key.file], { env });
      return await added.then(
        () => true,
        () => false,
      );
    }, START_MS);
    return {
      socket,
      async stop() {
        agent.kill();
        await ended;
      },
    };
  }

  async stop(): Promise<void> {
    await this.kill();
    process.off('exit', this.#leave);
    await rm(this.#home, { recursive: true, force: true, maxRetries: 5 });
  }

  async kill(): Promise<void> {
    const sessions = this.sessions();
    if (this.#server.exitCode === null && this.#server.signalCode === null) {
      this.#server.kill('SIGKILL');
      await this.#ended;
    }
    for (const pid of sessions) killQuietly(pid);
  }
}

function descendantsOf(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendantsOf(child)]);
}

function killQuietly(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
