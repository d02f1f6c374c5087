import { BackupError } from '../../errors.ts';
import { openTunnel } from '../../ssh/tunnel.ts';
import type { ServerAccess } from './server.ts';

/** The way to a server, for one piece of work. */
export interface Reached {
  readonly host: string;
  readonly port: number;
  /** The name that the server's certificate is compared with. */
  readonly serverName: string;
  /**
   * The signal of the work, which also aborts when the way breaks, with what happened as its reason. To be
   * used from then on: a cut connection cannot tell why it was cut.
   */
  readonly signal: AbortSignal;
  /** To be called when the work is done. Never rejects. */
  close(): Promise<void>;
}

export interface ReachableServer extends ServerAccess {
  /** A name, an address, or the absolute path of a Unix socket. */
  readonly host: string;
  readonly port: number;
  /** In seconds. */
  readonly connectTimeout?: number;
}

/**
 * Makes a server reachable: through its tunnel, which is opened, or as it is.
 * @throws BackupError of the tunnel
 */
export async function reach(server: ReachableServer, signal: AbortSignal): Promise<Reached> {
  const { host, port, tunnel, connectTimeout } = server;
  if (tunnel === undefined) return { host, port, serverName: host, signal, close: async () => undefined };
  if (host.startsWith('/')) {
    throw new BackupError(
      'invalid-config',
      `The Unix socket ${host} cannot be reached through SSH: set the host as ${tunnel.host} knows it, such as 127.0.0.1`,
    );
  }
  const timeoutMs = connectTimeout === undefined ? undefined : connectTimeout * 1000;
  const open = await openTunnel(tunnel, { host, port }, signal, timeoutMs);
  return {
    host: open.host,
    port: open.port,
    serverName: host,
    signal: AbortSignal.any([signal, open.broken]),
    close: () => open.close(),
  };
}
