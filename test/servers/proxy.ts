import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';

/** A TCP proxy on a port of 127.0.0.1 that can do to connections what networks do. */
export class TestProxy {
  readonly host = '127.0.0.1';
  readonly port: number;
  /** How long each chunk waits before it is passed on, in ms. */
  delayMs = 0;
  /** Bytes that may be under way in each direction of a connection, as with the window of TCP. */
  windowBytes = 64 * 1024;
  /** What happens to a new connection. */
  accepts: 'pass' | 'reset' | 'silence' = 'pass';
  /** Bytes that came from each side so far, over all connections. */
  readonly passed = { client: 0, server: 0 };
  readonly #server: Server;
  readonly #links = new Set<Link>();
  #trap: Trap | undefined;

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

  /**
   * Does this once so many bytes, counted from now over all connections, came from that side. `damage`: changes
   * the last one of them.
   */
  after(
    bytes: number,
    action: 'cut' | 'reset' | 'stall' | 'damage',
    from: 'server' | 'client' = 'server',
  ): void {
    this.#trap = { bytes, action, from };
  }

  /** Forgets what `after` was told. */
  disarm(): void {
    this.#trap = undefined;
  }

  /** True while what `after` was told has not happened. */
  get isArmed(): boolean {
    return this.#trap !== undefined;
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
    const link = new Link(client, server, this, (chunk, from) => this.#passes(chunk, from));
    this.#links.add(link);
    client.once('close', () => this.#links.delete(link));
  }

  /** Looks at a chunk before it is passed on. */
  #passes(chunk: Buffer, from: 'server' | 'client'): void {
    this.passed[from] += chunk.length;
    const trap = this.#trap;
    if (trap === undefined || trap.from !== from) return;
    trap.bytes -= chunk.length;
    if (trap.bytes > 0) return;
    this.#trap = undefined;
    if (trap.action !== 'damage') {
      // What has come until then is passed on.
      setImmediate(() => this[trap.action as 'cut' | 'reset' | 'stall']());
      return;
    }
    const last = chunk.length - 1 + trap.bytes;
    chunk.writeUInt8(chunk.readUInt8(last) ^ 1, last);
  }
}

interface Trap {
  bytes: number;
  readonly action: 'cut' | 'reset' | 'stall' | 'damage';
  readonly from: 'server' | 'client';
}

class Link {
  readonly #sockets: Socket[];
  #stalled = false;

  constructor(
    client: Socket,
    server: Socket | undefined,
    line: { readonly delayMs: number; readonly windowBytes: number },
    passes: (chunk: Buffer, from: 'server' | 'client') => void,
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
    this.#pass(client, server, line, (chunk) => passes(chunk, 'client'));
    this.#pass(server, client, line, (chunk) => passes(chunk, 'server'));
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

  #pass(
    from: Socket,
    to: Socket,
    line: { readonly delayMs: number; readonly windowBytes: number },
    passes: (chunk: Buffer) => void,
  ): void {
    let underWay = 0;
    let before = Promise.resolve();
    from.on('data', (chunk) => {
      underWay += chunk.length;
      if (underWay >= line.windowBytes) from.pause();
      const arrived = line.delayMs > 0 ? wait(line.delayMs) : undefined;
      before = before.then(async () => {
        await arrived;
        if (to.destroyed) return;
        passes(chunk);
        await new Promise<void>((resolve) => to.write(chunk, () => resolve()));
        underWay -= chunk.length;
        if (!this.#stalled && underWay < line.windowBytes) from.resume();
      });
    });
    from.once('end', () => before.then(() => to.end()));
  }

  #destroy(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}
