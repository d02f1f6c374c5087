import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP proxy on a port of 127.0.0.1 that can do to connections what networks do. */
export class TestProxy {
  readonly host = '127.0.0.1';
  readonly port: number;
  /** How long each chunk waits before it is passed on, in ms. */
  delayMs = 0;
  /** What happens to a new connection. */
  accepts: 'pass' | 'reset' | 'silence' = 'pass';
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #trap: { bytes: number; spring: () => void } | undefined;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start(target: { readonly host: string; readonly port: number }): Promise<TestProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
    const proxy = new TestProxy(server, address.port);
    server.on('connection', (client) => proxy.#accept(client, target));
    return proxy;
  }

  /** Connections that are open now. */
  get connections(): number {
    return this.#links.size;
  }

  /** Ends every connection as a server does that goes down (FIN). */
  cut(): void {
    for (const link of this.#links) link.end();
  }

  /** Breaks every connection (RST). */
  reset(): void {
    for (const link of this.#links) link.reset();
  }

  /** Passes nothing on any more; connections stay open. */
  stall(): void {
    for (const link of this.#links) link.pause();
  }

  /** Goes on after `stall`. */
  resume(): void {
    for (const link of this.#links) link.resume();
  }

  /** Does this once so many bytes, counted from now over all connections, came from the server. */
  after(bytes: number, action: 'cut' | 'reset' | 'stall'): void {
    this.#trap = { bytes, spring: () => this[action]() };
  }

  async close(): Promise<void> {
    this.#trap = undefined;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.reset();
    await closed;
  }

  #accept(client: Socket, target: { readonly host: string; readonly port: number }): void {
    client.on('error', () => undefined);
    if (this.accepts === 'reset') {
      client.resetAndDestroy();
      return;
    }
    const server = this.accepts === 'silence' ? undefined : connect(target);
    const link = new Link(
      client,
      server,
      () => this.delayMs,
      (bytes) => this.#passed(bytes),
    );
    this.#links.add(link);
    client.once('close', () => this.#links.delete(link));
  }

  #passed(bytes: number): void {
    if (this.#trap === undefined) return;
    this.#trap.bytes -= bytes;
    if (this.#trap.bytes > 0) return;
    const { spring } = this.#trap;
    this.#trap = undefined;
    spring();
  }
}

class Link {
  readonly #sockets: Socket[];
  #stalled = false;

  constructor(
    client: Socket,
    server: Socket | undefined,
    delayMs: () => number,
    fromServer: (bytes: number) => void,
  ) {
    this.#sockets = server === undefined ? [client] : [client, server];
    for (const socket of this.#sockets) {
      socket.setNoDelay(true);
      socket.on('error', () => undefined);
      socket.once('close', () => this.#destroy());
    }
    if (server === undefined) {
      client.resume();
      return;
    }
    this.#pass(client, server, delayMs, () => undefined);
    this.#pass(server, client, delayMs, fromServer);
  }

  end(): void {
    for (const socket of this.#sockets) {
      socket.end();
      socket.destroy();
    }
  }

  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  pause(): void {
    this.#stalled = true;
    for (const socket of this.#sockets) socket.pause();
  }

  resume(): void {
    this.#stalled = false;
    for (const socket of this.#sockets) socket.resume();
  }

  #pass(from: Socket, to: Socket, delayMs: () => number, passed: (bytes: number) => void): void {
    from.on('data', (chunk) => {
      from.pause();
      const send = () => {
        if (to.destroyed) return;
        to.write(chunk, () => {
          if (!this.#stalled) from.resume();
        });
        passed(chunk.length);
      };
      if (delayMs() > 0) setTimeout(send, delayMs());
      else send();
    });
    from.once('end', () => to.end());
  }

  #destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
