import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { TestProxy } from './proxy.ts';

/** What happens to all connections, control and data, of a client. */
export type FtpFault = 'cut' | 'reset' | 'stall';

/** How long a server has to carry out the command whose reply is lost, in ms. */
const DELIVERY_MS = 100;

interface Trap {
  readonly command: RegExp;
  readonly fault: FtpFault;
  /** Whether the server gets the command: then only the reply is lost. */
  readonly delivered: boolean;
}

/**
 * A proxy for plain FTP: passes the control connection on line by line, with a proxy of its own for each data
 * connection, so that faults can happen at a command and in the middle of a transfer.
 */
export class FtpProxy {
  readonly host = '127.0.0.1';
  readonly port: number;
  /** Commands that came through, without their arguments. */
  readonly commands: string[] = [];
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  readonly #data: TestProxy[] = [];
  #trap: Trap | undefined;
  #stalled = false;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start(port: number): Promise<FtpProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('the proxy has no port');
    const proxy = new FtpProxy(server, address.port);
    server.on('connection', (client) => proxy.#accept(client, port));
    return proxy;
  }

  /** Does this at the next command that fits, once. */
  at(command: RegExp, fault: FtpFault, { delivered = false } = {}): void {
    this.#trap = { command, fault, delivered };
  }

  /** True when the command of `at` came. */
  get sprung(): boolean {
    return this.#trap === undefined;
  }

  /** Open connections, control and data. */
  get connections(): number {
    return this.#pairs.size + this.#data.reduce((sum, { connections }) => sum + connections, 0);
  }

  fault(fault: FtpFault): void {
    for (const proxy of this.#data) proxy[fault]();
    if (fault === 'stall') {
      this.#stalled = true;
      return;
    }
    for (const sockets of this.#pairs) {
      for (const socket of sockets) {
        if (fault === 'cut') socket.destroy();
        else socket.resetAndDestroy();
      }
    }
  }

  /** The same for the data connections only. */
  faultData(fault: FtpFault): void {
    for (const proxy of this.#data) proxy[fault]();
  }

  /** New connections pass again. */
  heal(): void {
    this.#trap = undefined;
    this.#stalled = false;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.fault('reset');
    await Promise.all([closed, ...this.#data.map(async (proxy) => await proxy.close())]);
  }

  #accept(client: Socket, port: number): void {
    const server = connect(port, '127.0.0.1');
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      client.destroy();
      server.destroy();
    };
    for (const socket of pair)
      socket
        .setNoDelay(true)
        .on('error', () => undefined)
        .once('close', end);
    eachLine(client, (line) => this.#command(line, server));
    eachLine(server, async (line) => {
      const passed = await this.#reply(line);
      if (!this.#stalled && !client.destroyed) client.write(`${passed}\r\n`);
    });
  }

  #command(line: string, server: Socket): void {
    this.commands.push(line.split(' ')[0] ?? '');
    const trap = this.#trap;
    const springs = trap?.command.test(line) === true;
    if (springs) this.#trap = undefined;
    if (this.#stalled || (springs && !trap.delivered)) {
      if (springs) this.fault(trap.fault);
      return;
    }
    if (server.destroyed) return;
    server.write(`${line}\r\n`);
    if (!springs) return;
    // No reply passes from now on; the server has some time to do what it was told.
    this.#stalled = true;
    setTimeout(() => {
      this.#stalled = false;
      this.fault(trap.fault);
    }, DELIVERY_MS);
  }

  async #reply(line: string): Promise<string> {
    const port = /^229 .*\(\|\|\|(\d+)\|\)/.exec(line)?.[1];
    if (port === undefined) return line;
    const proxy = await TestProxy.start({ host: '127.0.0.1', port: Number(port) });
    this.#data.push(proxy);
    return line.replace(`|||${port}|`, `|||${proxy.port}|`);
  }
}

/** Calls back for each line, one after the other. */
function eachLine(socket: Socket, take: (line: string) => void | Promise<void>): void {
  let rest = '';
  let turn: Promise<void> = Promise.resolve();
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    const lines = (rest + text).split('\r\n');
    rest = lines.pop() ?? '';
    for (const line of lines) turn = turn.then(() => take(line));
  });
}
