import { connect, type Socket } from 'node:net';
import type { AnyAuthMethod, Client, ClientChannel, SFTPWrapper } from 'ssh2';
import { orAbort, settled } from '../abort.ts';
import { abortError, BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import { HostKeyCheck } from './host-key.ts';
import type { KnownHosts } from './known-hosts.ts';
import type { SshOptions } from './options.ts';
import { inTurn, signInMethods } from './sign-in.ts';
import { loadSsh, type SshLibrary } from './ssh-library.ts';

/** How long the host may take to let us in, in ms. */
const CONNECT_MS = 15_000;
/** How often an idle connection is tried, in ms, and how many answers may be missing. */
const KEEPALIVE_MS = 10_000;
const KEEPALIVES_MISSED = 3;
/** How long a connection that was told to end may take before its socket is destroyed, in ms. */
const END_MS = 1_000;
/** How long a connection that breaks may take to say so, in ms. */
const LOST_MS = 200;

/** The library's words for a host that refuses the subsystem, or whose program for it ends. */
const NO_SUBSYSTEM = /unable to start subsystem|exit code/i;

/** What hosts say that end the connection with a refused attempt to sign in (RFC 4253, 11.1 has no code for it). */
const TOO_MANY_ATTEMPTS = /too many authentication failures/i;

/** The library's words when both sides have none in common: `no matching key exchange algorithm`. */
const NOTHING_IN_COMMON = /no matching (?:C->S |S->C )?(.+)/i;

/** SSH_OPEN_ADMINISTRATIVELY_PROHIBITED (RFC 4254, 5.1). */
const PROHIBITED = 1;

/** A connection to an SSH host whose key was checked and that has let us in. */
export class SshConnection {
  /** Aborts when the connection breaks, with what happened as its reason. Not when it is closed by us. */
  readonly lost: AbortSignal;
  /** `user@host:port` */
  readonly name: string;
  readonly #client: Client;
  readonly #socket: Socket;
  readonly #closed: Promise<void>;
  #closing = false;

  constructor(name: string, client: Client, socket: Socket) {
    this.name = name;
    this.#client = client;
    this.#socket = socket;
    const lost = new AbortController();
    this.lost = lost.signal;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#closed = promise;
    const lose = (error?: Error) => {
      if (this.#closing || lost.signal.aborted) return;
      const why = error === undefined ? '' : `: ${error.message}`;
      const complaint = `The SSH connection to ${name} broke${why}`;
      lost.abort(new BackupError('unavailable', complaint, { transient: true, cause: error }));
      socket.destroy();
    };
    // The first of them wins; what is left of a broken connection may go on complaining.
    client.on('error', lose);
    client.on('end', () => lose());
    client.on('close', () => {
      lose();
      resolve();
    });
  }

  /**
   * Lets the host connect to a port that it can reach.
   * @throws BackupError `permission` when the host does not allow it, `unavailable` when it cannot
   */
  forward(host: string, port: number): Promise<ClientChannel> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => reject(this.#refusal(`${host}:${port}`, error));
      try {
        this.#client.forwardOut('127.0.0.1', 0, host, port, (error, channel) => {
          if (error === undefined) resolve(channel);
          else fail(error);
        });
      } catch (error) {
        fail(toBackupError(error));
      }
    });
  }

  /**
   * Opens a session of SFTP.
   * @throws BackupError `unavailable`; see `isTooManySessions`
   */
  async sftp(): Promise<SFTPWrapper> {
    const opening = new Promise<SFTPWrapper>((resolve, reject) => {
      this.#client.sftp((error, session) => {
        if (error === undefined) resolve(session);
        else reject(error);
      });
    });
    try {
      return await orAbort(opening, this.lost);
    } catch (error) {
      const refusal = this.#tooManySessions(error) ?? this.#noSftp(error);
      if (!isTooManySessions(refusal)) await this.#untilLost();
      throw this.lost.aborted ? abortError(this.lost) : refusal;
    }
  }

  /**
   * Runs a command on the host, by the shell of the account there.
   * @throws BackupError `unavailable`; see `isTooManySessions`
   */
  async exec(command: string): Promise<ClientChannel> {
    const opening = new Promise<ClientChannel>((resolve, reject) => {
      this.#client.exec(command, (error, channel) => {
        if (error === undefined) resolve(channel);
        else reject(error);
      });
    });
    try {
      return await orAbort(opening, this.lost);
    } catch (error) {
      if (this.lost.aborted) throw abortError(this.lost);
      throw this.#tooManySessions(error) ?? this.#noCommands(error);
    }
  }

  /** Whether the connection keeps the process alive. */
  keepsProcess(does: boolean): void {
    if (does) this.#socket.ref();
    else this.#socket.unref();
  }

  /** Ends the connection; its socket is gone afterwards. Never rejects. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#client.end();
    await settled(this.#closed, END_MS);
    this.#socket.destroy();
    await this.#closed;
  }

  /** Sessions end a moment before the connection that breaks says so. */
  async #untilLost(): Promise<void> {
    const lost = new Promise<void>((resolve) => {
      this.lost.addEventListener('abort', () => resolve(), { once: true });
    });
    if (!this.lost.aborted) await settled(lost, LOST_MS);
  }

  #noSftp(error: unknown): BackupError {
    const { message } = toBackupError(error);
    if (NO_SUBSYSTEM.test(message)) {
      const complaint = `${this.name} offers no SFTP (${message}): see Subsystem sftp in its sshd_config`;
      return new BackupError('unavailable', complaint, { cause: error });
    }
    const complaint = `${this.name} opened no SFTP session: ${message}`;
    return new BackupError('unavailable', complaint, { transient: true, cause: error });
  }

  #noCommands(error: unknown): BackupError {
    const cause = toBackupError(error);
    const complaint = `${this.name} runs no commands (${cause.message}): allow them for this account`;
    return new BackupError('permission', complaint, { cause: error });
  }

  #tooManySessions(error: unknown): BackupError | undefined {
    if (!isRefusedChannel(error)) return undefined;
    const complaint = `${this.name} allows no more sessions: see MaxSessions in its sshd_config`;
    return new BackupError('unavailable', complaint, { transient: true, cause: error });
  }

  #refusal(target: string, error: Error): BackupError {
    if (Reflect.get(error, 'reason') === PROHIBITED) {
      const complaint = `${this.name} does not allow connections to ${target}: see AllowTcpForwarding and PermitOpen in its sshd_config`;
      return new BackupError('permission', complaint, { cause: error });
    }
    const cause = this.lost.aborted ? abortError(this.lost) : error;
    const complaint = `${this.name} cannot connect to ${target}: ${cause.message}`;
    return new BackupError('unavailable', complaint, { transient: true, cause });
  }
}

/** True for the error of `sftp` and `exec` when the host allows no more sessions on one connection. */
export function isTooManySessions(error: unknown): boolean {
  return error instanceof BackupError && isRefusedChannel(error.cause);
}

/** The host answered with SSH_MSG_CHANNEL_OPEN_FAILURE (RFC 4254, 5.1). */
function isRefusedChannel(error: unknown): boolean {
  return error instanceof Error && typeof Reflect.get(error, 'reason') === 'number';
}

export interface ConnectSettings {
  /** For everything together, in ms. */
  readonly timeoutMs?: number;
  /** Whether an idle connection is tried regularly, which keeps the process alive; default true. */
  readonly keepalive?: boolean;
  /** When no host keys are set: trusts the key that the host shows first, and remembers it here. */
  readonly trustFirst?: KnownHosts | undefined;
}

/**
 * Connects to an SSH host, checks its key and signs in.
 * @throws BackupError `permission` when the host is not trusted or does not let us in, `invalid-config` for a
 *   key that cannot be used, `unavailable` when the host cannot be reached; nothing is left open then
 */
export async function connectSsh(
  options: SshOptions,
  signal: AbortSignal,
  { timeoutMs = CONNECT_MS, keepalive = true, trustFirst }: ConnectSettings = {},
): Promise<SshConnection> {
  throwIfAborted(signal);
  const ssh = await loadSsh();
  const methods = await signInMethods(ssh, options);
  const late = AbortSignal.timeout(timeoutMs);
  const knownHosts = options.hostKeys.length === 0 ? trustFirst : undefined;
  const known = await knownHosts?.fingerprintsOf(options.host, options.port);
  const check = new HostKeyCheck(known ?? options.hostKeys, knownHosts);
  const confirm = async () => {
    if (check.first !== undefined) await knownHosts?.remember(options.host, options.port, check.first);
  };
  const attempt = { ssh, options, methods, check, confirm, keepalive };
  const either = AbortSignal.any([signal, late]);
  try {
    for (;;) {
      const asked = check.algorithms.length;
      try {
        return await connectOnce(attempt, either);
      } catch (error) {
        // The trusted key may be another one of the host: it shows the others when it is asked for them.
        if (check.algorithms.length === asked || check.algorithms.length === 0) throw error;
      }
    }
  } catch (error) {
    throwIfAborted(signal);
    if (check.denied) throw check.refusal(`${options.host}:${options.port}`);
    throw explain(late.aborted ? new Error(`no answer within ${timeoutMs / 1000} s`) : error, options);
  }
}

interface Attempt {
  readonly ssh: SshLibrary;
  readonly options: SshOptions;
  readonly methods: readonly AnyAuthMethod[];
  readonly check: HostKeyCheck;
  /** Before we say who we are, and after the host has proven that the key is its own. */
  readonly confirm: () => Promise<void>;
  readonly keepalive: boolean;
}

async function connectOnce(attempt: Attempt, signal: AbortSignal): Promise<SshConnection> {
  const { ssh, options, methods, check, confirm, keepalive } = attempt;
  throwIfAborted(signal);
  const { host, port, user } = options;
  const client = new ssh.Client();
  // The keep-alive of TCP notices a host that is gone also where that of SSH is off.
  const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS });
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  const stop = () => reject(abortError(signal));
  signal.addEventListener('abort', stop, { once: true });
  client.on('ready', resolve);
  client.on('error', reject);
  client.on('close', () => reject(new Error('the connection was closed')));
  try {
    client.connect({
      sock: socket,
      username: user,
      authHandler: inTurn(methods, confirm, reject),
      hostVerifier: check.accepts,
      algorithms: { serverHostKey: check.algorithms },
      keepaliveInterval: keepalive ? KEEPALIVE_MS : 0,
      keepaliveCountMax: KEEPALIVES_MISSED,
      readyTimeout: 0,
    });
    await ready;
    return new SshConnection(`${user}@${host}:${port}`, client, socket);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function levelOf(error: unknown): unknown {
  return error instanceof Error ? Reflect.get(error, 'level') : undefined;
}

function isRefusedSignIn(error: unknown): boolean {
  if (levelOf(error) === 'client-authentication') return true;
  return error instanceof Error && TOO_MANY_ATTEMPTS.test(error.message);
}

function explain(error: unknown, { user, host, port, auth }: SshOptions): BackupError {
  if (error instanceof BackupError) return error;
  const cause = error instanceof Error ? error : new Error(String(error));
  if (levelOf(error) === 'agent') {
    return new BackupError(
      'unavailable',
      `The SSH agent for ${user}@${host}:${port} failed: ${cause.message}`,
      {
        cause,
      },
    );
  }
  if (isRefusedSignIn(error)) {
    const shown = { password: 'the password', key: 'the key', agent: "the agent's keys" }[auth];
    return new BackupError('permission', `${user}@${host}:${port} did not accept ${shown}`, { cause });
  }
  const missing = NOTHING_IN_COMMON.exec(cause.message)?.[1];
  if (missing !== undefined) {
    const complaint = `The SSH host ${host}:${port} knows no ${missing} that is considered safe: allow a newer one in its sshd_config`;
    return new BackupError('unavailable', complaint, { cause });
  }
  return new BackupError('unavailable', `The SSH host ${host}:${port} cannot be reached: ${cause.message}`, {
    transient: true,
    cause,
  });
}
