import { connect as connectSocket, type Socket } from 'node:net';
import { connect as connectTls, TLSSocket } from 'node:tls';
import { BackupError } from '../../errors.ts';
import type { FtpConnection } from './connection.ts';
import { replyCode } from './failures.ts';

/**
 * Opens a data connection in passive mode: to the host of the control connection, whatever address the server
 * names, so that neither a server can send us elsewhere nor a router's address translation matters. It is
 * not the library's, which ends the control connection with any data connection that breaks, and the
 * server's reason with it. TLS begins when the server begins it, after the command of the transfer.
 * @throws what failed, as it came
 */
export async function openDataSocket(connection: FtpConnection, signal: AbortSignal): Promise<DataSocket> {
  const port = await passivePort(connection, signal);
  const { ftp } = connection.client;
  const host = ftp.socket.remoteAddress;
  if (host === undefined) throw new Error('The control connection is closed');
  const socket = await connected(host, port, connection.timeoutMs, signal);
  if (!(ftp.socket instanceof TLSSocket)) return { socket, secured: Promise.resolve() };
  // Servers may require the session of the control connection, so that nobody else can take the port first.
  const session = ftp.tlsSessionStore ?? ftp.socket.getSession();
  const secure = connectTls({ ...ftp.tlsOptions, socket, ...(session === undefined ? {} : { session }) });
  secure.on('session', (next) => {
    ftp.tlsSessionStore = next;
  });
  // Until the transfer listens: it fails there too.
  secure.on('error', () => undefined);
  // `getCipher` tells nothing here: it knows that of the resumed session from the beginning.
  const secured = new Promise<void>((resolve) => secure.once('secureConnect', resolve));
  return { socket: secure, secured };
}

export interface DataSocket {
  readonly socket: Socket;
  /** Resolves when the handshake of TLS is over, if there is one; stays pending when it fails. */
  readonly secured: Promise<void>;
}

async function passivePort(connection: FtpConnection, signal: AbortSignal): Promise<number> {
  if (!connection.needsPasv) {
    try {
      // RFC 2428: 229 Entering Extended Passive Mode (|||6446|)
      const { message } = await connection.command('EPSV', signal);
      const port = Number(/\((.)\1\1(\d{1,5})\1\)/.exec(message)?.[2]);
      if (port > 0 && port < 65_536) return port;
      throw new Error(`EPSV was answered by: ${message}`);
    } catch (error) {
      if ((replyCode(error) ?? 0) < 500) throw error;
      connection.needsPasv = true;
    }
  }
  // RFC 959: 227 Entering Passive Mode (h1,h2,h3,h4,p1,p2)
  const { message } = await connection.command('PASV', signal);
  const parts = /(?<!\d)(?:\d{1,3},){4}(\d{1,3}),(\d{1,3})(?!\d)/.exec(message);
  const port = Number(parts?.[1]) * 256 + Number(parts?.[2]);
  if (port > 0 && port < 65_536) return port;
  throw new Error(`PASV was answered by: ${message}`);
}

function connected(host: string, port: number, timeoutMs: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connectSocket({ host, port, noDelay: true });
    const settle = (finish: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      finish();
    };
    const fail = (error: Error) => {
      socket.destroy();
      settle(() => reject(error));
    };
    const advice = 'open the passive ports of the server in its firewall';
    const timer = setTimeout(() => {
      const text = `The data connection to port ${port} did not open within ${timeoutMs / 1000} s: ${advice}`;
      fail(new BackupError('unavailable', text, { transient: true }));
    }, timeoutMs);
    const onAbort = () => fail(new Error('The transfer was aborted'));
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', (error) => {
      const text = `The data connection to port ${port} failed (${error.message}): ${advice}`;
      fail(new BackupError('unavailable', text, { transient: true, cause: error }));
    });
    socket.once('connect', () => settle(() => resolve(socket)));
    if (signal.aborted) onAbort();
  });
}
