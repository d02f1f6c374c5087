import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import type { ClientChannel } from 'ssh2';
import { orAbort } from '../abort.ts';
import { abortError, BackupError, throwIfAborted, toBackupError } from '../errors.ts';
import { connectSsh, type SshConnection } from './connection.ts';
import type { SshOptions } from './options.ts';

/** How long the connection that was tried at the beginning may wait for its user, in ms: servers drop one that is silent. */
const FIRST_MS = 5_000;

export interface TunnelTarget {
  /** As the SSH host knows it. */
  readonly host: string;
  readonly port: number;
}

/** A port of this machine that leads through an SSH host to another one. */
export interface Tunnel {
  readonly host: '127.0.0.1';
  readonly port: number;
  /**
   * Aborts when the tunnel breaks or its target cannot be reached any more, with what happened as its
   * reason: the connections through it only see that they were cut.
   */
  readonly broken: AbortSignal;
  /** Ends every connection through it; no socket is left afterwards. Never rejects. */
  close(): Promise<void>;
}

/**
 * Opens a tunnel, having tried that it leads to its target. It is closed when the signal aborts.
 * @param timeoutMs for the connection to the SSH host
 * @throws BackupError as `connectSsh`; `unavailable` when the target cannot be reached from the SSH host
 */
export async function openTunnel(
  ssh: SshOptions,
  target: TunnelTarget,
  signal: AbortSignal,
  timeoutMs?: number,
): Promise<Tunnel> {
  const connection = await connectSsh(ssh, signal, timeoutMs === undefined ? {} : { timeoutMs });
  const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
  try {
    const first = await orAbort(connection.forward(target.host, target.port), signal);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    throwIfAborted(signal);
    return new ListeningTunnel(connection, target, first, server, signal);
  } catch (error) {
    server.close();
    await connection.close();
    throw toBackupError(error);
  }
}

class ListeningTunnel implements Tunnel {
  readonly host = '127.0.0.1';
  readonly port: number;
  readonly broken: AbortSignal;
  readonly #connection: SshConnection;
  readonly #target: TunnelTarget;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #breaking = new AbortController();
  readonly #signal: AbortSignal;
  readonly #firstEnds: NodeJS.Timeout;
  #first: ClientChannel | undefined;
  #closed: Promise<void> | undefined;

  constructor(
    connection: SshConnection,
    target: TunnelTarget,
    first: ClientChannel,
    server: Server,
    signal: AbortSignal,
  ) {
    const address = server.address();
    if (address === null || typeof address === 'string') throw new BackupError('internal', 'No port');
    this.port = address.port;
    this.broken = this.#breaking.signal;
    this.#connection = connection;
    this.#target = target;
    this.#server = server;
    this.#signal = signal;
    this.#first = first;
    first.on('error', () => undefined);
    first.once('close', () => this.#forget(first));
    this.#firstEnds = setTimeout(() => this.#takeFirst()?.close(), FIRST_MS);
    server.on('connection', (socket) => void this.#accept(socket));
    server.on('error', (error) => this.#break(toBackupError(error)));
    connection.lost.addEventListener('abort', this.#onLost, { once: true });
    signal.addEventListener('abort', this.#onAbort, { once: true });
    if (connection.lost.aborted) this.#onLost();
  }

  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  readonly #onLost = () => this.#break(abortError(this.#connection.lost));

  readonly #onAbort = () => void this.close();

  /** A connection that is cut must not look like one that has ended. */
  #break(reason: BackupError): void {
    if (this.#closed === undefined && !this.broken.aborted) this.#breaking.abort(reason);
    void this.close();
  }

  async #close(): Promise<void> {
    clearTimeout(this.#firstEnds);
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#connection.lost.removeEventListener('abort', this.#onLost);
    const stopped = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#sockets) socket.resetAndDestroy();
    await Promise.all([stopped, this.#connection.close()]);
  }

  #takeFirst(): ClientChannel | undefined {
    const first = this.#first;
    this.#first = undefined;
    clearTimeout(this.#firstEnds);
    return first;
  }

  #forget(first: ClientChannel): void {
    if (this.#first === first) this.#takeFirst();
  }

  async #accept(socket: Socket): Promise<void> {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
    try {
      const channel =
        this.#takeFirst() ?? (await this.#connection.forward(this.#target.host, this.#target.port));
      join(socket, channel);
    } catch (error) {
      socket.resetAndDestroy();
      this.#break(toBackupError(error));
    }
  }
}

/** Passes bytes and ends both ways; when one side is cut the other one is too. */
function join(socket: Socket, channel: ClientChannel): void {
  channel.on('error', () => socket.resetAndDestroy());
  if (socket.destroyed) {
    channel.close();
    return;
  }
  socket.once('close', () => channel.close());
  channel.once('close', () => {
    // What its user still says has nobody to hear it; closing before it is read would cut off the last answer.
    socket.resume();
    socket.destroySoon();
  });
  channel.pipe(socket);
  socket.pipe(channel);
}
