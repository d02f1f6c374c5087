import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BackupError } from '../lib/errors.ts';

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void;

export type FirstHandler = (request: IncomingMessage, response: ServerResponse) => boolean;

/** A listening HTTP server that answers 503 until it is told who answers. */
export interface GatedServer {
  readonly server: Server;
  /** `http://127.0.0.1:1880` */
  readonly url: string;
  /** From now on requests go to this handler. */
  open(handler: RequestHandler): void;
  /** Ends all connections and frees the port. */
  close(): Promise<void>;
}

/**
 * Takes the port at once, so that a port in use is known before anything else starts.
 * @param first answers before all others, also while the flow starts; false when it is not for it
 * @throws BackupError `unavailable` when the port is taken or not allowed
 */
export async function listen(host: string, port: number, first: FirstHandler): Promise<GatedServer> {
  let answer: RequestHandler = (_request, response) => {
    response
      .writeHead(503, { 'content-type': 'text/plain', 'retry-after': '1' })
      .end('The flow is starting.\n');
  };
  const server = createServer((request, response) => {
    if (!first(request, response)) answer(request, response);
  });
  await listening(server, host, port);
  const address = server.address() as AddressInfo;
  const shownHost = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return {
    server,
    url: `http://${shownHost}:${address.port}`,
    open: (handler) => {
      answer = handler;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function listening(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => {
      const message = `Cannot listen on ${host} port ${port}: ${error.message}. Choose another port or host`;
      reject(new BackupError('unavailable', message, { cause: error }));
    });
    server.listen(port, host, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}
