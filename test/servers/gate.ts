import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A way to a server on a port of 127.0.0.1 that can be shut after so many bytes: from then on nothing passes any
 * more, on no connection, old or new. Whoever waits behind it stays exactly where it is, however slow the machine.
 */
export class TestGate {
  readonly host = '127.0.0.1';
  readonly port: number;
  /** Bytes that clients have sent to the server since the gate was opened. */
  passed = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #limit = Number.POSITIVE_INFINITY;
  #isShut = false;
  #shut = Promise.withResolvers<void>();

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start(targetPort: number): Promise<TestGate> {
    const server = createServer({ pauseOnConnect: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the gate has no port');
    const gate = new TestGate(server, address.port);
    server.on('connection', (client) => gate.#accept(client, targetPort));
    return gate;
  }

  /**
   * Lets at most so many bytes through from now on, counted over all connections; resolves when it is shut. What
   * came at once passes at once or not at all: a process that is killed has not sent half of a command either.
   */
  shutAfter(bytes: number): Promise<void> {
    this.open();
    this.#limit = bytes;
    return this.#shut.promise;
  }

  /** Ends what waits, and lets everything through. */
  open(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.passed = 0;
    this.#isShut = false;
    this.#limit = Number.POSITIVE_INFINITY;
    this.#shut = Promise.withResolvers();
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(client: Socket, targetPort: number): void {
    const server = connect(targetPort, '127.0.0.1');
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true).on('error', () => undefined);
      socket.once('close', () => {
        this.#sockets.delete(socket);
        client.destroy();
        server.destroy();
      });
    }
    client.on('data', (chunk) => this.#send(chunk, client, server));
    server.on('data', (chunk) => {
      if (!this.#isShut) pass(chunk, server, client);
    });
    client.resume();
  }

  #send(chunk: Buffer, client: Socket, server: Socket): void {
    if (this.passed + chunk.length > this.#limit) this.#isShut = true;
    if (this.#isShut) {
      this.#shut.resolve();
      return;
    }
    this.passed += chunk.length;
    pass(chunk, client, server);
  }
}

/** With the pressure of the other side. */
function pass(chunk: Buffer, from: Socket, to: Socket): void {
  if (to.destroyed || to.write(chunk)) return;
  from.pause();
  to.once('drain', () => from.resume());
}
