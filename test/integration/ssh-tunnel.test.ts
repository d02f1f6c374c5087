import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, Server, type Socket } from 'node:net';
import { reach } from '../../lib/sources/server/reach.ts';
import type { SshOptions } from '../../lib/ssh/options.ts';
import { openTunnel, type Tunnel } from '../../lib/ssh/tunnel.ts';
import { TestProxy } from '../servers/proxy.ts';
import { startSshd, type TestSshd } from '../servers/sshd.ts';
import { freePort } from '../support/free-port.ts';
import { skipBecause } from '../support/skip.ts';
import { until } from '../support/until.ts';

const NEVER = new AbortController().signal;
const MIB = 1024 * 1024;

describe('SSH tunnel to a database server', function () {
  this.timeout(240_000);
  let sshd: TestSshd;
  let target: EchoServer;
  let key: SshOptions & { auth: 'key' };

  before(async () => {
    sshd = await startSshd();
    target = await EchoServer.start();
    assert.ok(sshd.settings.auth === 'key');
    key = sshd.settings;
  });

  after(async () => {
    await sshd?.stop();
    await target?.stop();
  });

  afterEach(async () => {
    // Whatever a test did, no connection outlives its tunnel.
    await until(() => target.connections === 0, 120_000);
    await until(() => sshd.sessions().length === 0, 120_000);
  });

  async function use<T>(tunnel: Promise<Tunnel>, work: (tunnel: Tunnel) => Promise<T>): Promise<T> {
    const open = await tunnel;
    try {
      return await work(open);
    } finally {
      await open.close();
    }
  }

  async function worksWith(ssh: SshOptions): Promise<void> {
    await use(openTunnel(ssh, target, NEVER), async ({ host, port }) => {
      assert.equal(await echo(host, port, 'through the tunnel'), 'through the tunnel');
    });
  }

  function refusal(ssh: SshOptions): Promise<unknown> {
    return openTunnel(ssh, target, NEVER).then(
      async (tunnel) => {
        await tunnel.close();
        assert.fail('the tunnel opened');
      },
      (error: unknown) => error,
    );
  }

  describe('signs in', () => {
    it('with a key', () => worksWith(key));

    it('with a key in a file', () => worksWith({ ...without(key), keyFile: sshd.key.file }));

    it('with an encrypted key', async () => {
      const { text, passphrase } = sshd.encryptedKey;
      await worksWith({ ...key, privateKey: text, passphrase });
    });

    it('with an agent', async () => {
      const agent = await sshd.startAgent();
      try {
        await worksWith({ ...agentOptions(key), agentSocket: agent.socket });
      } finally {
        await agent.stop();
      }
    });

    it('with the agent that the environment names', async () => {
      const agent = await sshd.startAgent();
      const before = process.env.SSH_AUTH_SOCK;
      process.env.SSH_AUTH_SOCK = agent.socket;
      try {
        await worksWith(agentOptions(key));
      } finally {
        if (before === undefined) delete process.env.SSH_AUTH_SOCK;
        else process.env.SSH_AUTH_SOCK = before;
        await agent.stop();
      }
    });

    for (const passwords of ['password', 'keyboard-interactive'] as const) {
      it(`with a password, asked by ${passwords}`, async function () {
        if (process.getuid?.() !== 0) skipBecause(this, 'only root can check passwords');
        const asking = await startSshd({ passwords });
        try {
          const { host, port, user, password, hostKeys } = asking;
          const options = { host, port, user, hostKeys: [hostKeys.ed25519], auth: 'password' as const };
          await worksWith({ ...options, password });
          const wrong = 'not the password';
          await assert.rejects(openTunnel({ ...options, password: wrong }, target, NEVER), (error: Error) => {
            assert.match(error.message, /did not accept the password/);
            assert.ok(!error.message.includes(wrong));
            return hasCode(error, 'permission');
          });
        } finally {
          await asking.stop();
        }
      });
    }
  });

  describe('is refused', () => {
    it('with a key that the host does not know', async () => {
      const error = await refusal({ ...key, privateKey: sshd.strangersKey.text });
      assertError(error, 'permission', /did not accept the key/);
    });

    it('by a host that ends the connection then', async () => {
      const strict = await startSshd({ config: ['MaxAuthTries 1'] });
      try {
        const { host, port, user, hostKeys, strangersKey } = strict;
        const there = { ...key, host, port, user, hostKeys: [hostKeys.ed25519] };
        const error = await refusal({ ...there, privateKey: strangersKey.text });
        assertError(error, 'permission', /did not accept the key/);
        assert.equal(Reflect.get(error as Error, 'transient'), false, 'trying again can lock the account');
      } finally {
        await strict.stop();
      }
    });

    for (const { line, missing } of [
      {
        line: 'KexAlgorithms sntrup761x25519-sha512@openssh.com',
        missing: /knows no key exchange algorithm/,
      },
      { line: 'Ciphers 3des-cbc', missing: /knows no cipher/ },
    ]) {
      it(`by a host with nothing in common (${line}), which no second attempt would change`, async () => {
        const odd = await startSshd({ config: [line] });
        try {
          const { host, port, user, hostKeys } = odd;
          const error = await refusal({ ...key, host, port, user, hostKeys: [hostKeys.ed25519] });
          assertError(error, 'unavailable', missing);
          assert.equal(Reflect.get(error as Error, 'transient'), false);
        } finally {
          await odd.stop();
        }
      });
    }

    it('with an agent that holds another key', async () => {
      const agent = await sshd.startAgent(sshd.strangersKey);
      try {
        const error = await refusal({ ...agentOptions(key), agentSocket: agent.socket });
        assertError(error, 'permission', /did not accept the agent's keys/);
      } finally {
        await agent.stop();
      }
    });

    it('without an agent', async () => {
      const error = await refusal({ ...agentOptions(key), agentSocket: '/nonexistent/agent' });
      assertError(error, 'unavailable', /SSH agent/);
    });

    it('with an encrypted key and no passphrase, or a wrong one', async () => {
      const privateKey = sshd.encryptedKey.text;
      assertError(
        await refusal({ ...key, privateKey }),
        'invalid-config',
        /is encrypted: give its passphrase/,
      );
      const wrong = await refusal({ ...key, privateKey, passphrase: 'wrong' });
      assertError(wrong, 'invalid-config', /cannot be opened with this passphrase/);
    });

    it('with what is no private key', async () => {
      assertError(await refusal({ ...key, privateKey: 'nonsense' }), 'invalid-config', /no private key/);
      const missing = { ...without(key), keyFile: '/nonexistent/key' };
      assertError(await refusal(missing), 'not-found', /\/nonexistent\/key cannot be read/);
      assertError(await refusal(without(key)), 'invalid-config', /No SSH key/);
      const publicKey = `${sshd.key.file}.pub`;
      assertError(await refusal({ ...without(key), keyFile: publicKey }), 'invalid-config', /public key/);
    });

    it('where nothing listens', async () => {
      const error = await refusal({ ...key, port: await freePort() });
      assertError(error, 'unavailable', /cannot be reached/, true);
    });

    it('where another kind of server listens, or a silent one', async () => {
      assertError(await refusal({ ...key, port: target.port }), 'unavailable', /cannot be reached/, true);
      const proxy = await TestProxy.start(sshd);
      proxy.accepts = 'silence';
      try {
        await assert.rejects(
          openTunnel({ ...key, port: proxy.port }, target, NEVER, 300),
          /cannot be reached: no answer within 0.3 s/,
        );
      } finally {
        await proxy.close();
      }
    });
  });

  describe('checks the host', () => {
    const stranger = 'SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';

    it('refuses another host key before anything secret is sent, and names what it found', async () => {
      const error = await refusal({ ...key, hostKeys: [stranger] });
      assertError(error, 'permission', /is not trusted/);
      assert.ok(error instanceof Error && error.message.includes(`${sshd.hostKeys.ed25519} (ssh-ed25519)`));
      assert.ok(error.message.includes(`${sshd.hostKeys.rsa} (ssh-rsa)`));
      assert.match(error.message, /only if it is right/);
      assert.ok(!error.message.includes(stranger));
    });

    it('accepts any of its keys, also the one that it does not show first', async () => {
      await worksWith({ ...key, hostKeys: [sshd.hostKeys.rsa] });
      await worksWith({ ...key, hostKeys: [stranger, sshd.hostKeys.ed25519] });
    });

    it('accepts a fingerprint with padding', async () => {
      await worksWith({ ...key, hostKeys: [`${sshd.hostKeys.ed25519}=`] });
    });

    it('does not blame the host key for a refused sign-in', async () => {
      const hostKeys = [sshd.hostKeys.rsa];
      const error = await refusal({ ...key, hostKeys, privateKey: sshd.strangersKey.text });
      assertError(error, 'permission', /did not accept the key/);
    });
  });

  describe('passes connections', () => {
    it('several at a time, each byte in order, both ways', async () => {
      await use(openTunnel(key, target, NEVER), async ({ host, port }) => {
        const texts = Array.from({ length: 5 }, () => randomBytes(3_000_000).toString('base64'));
        const answers = await Promise.all(texts.map((text) => echo(host, port, text)));
        for (const [number, text] of texts.entries()) assert.ok(answers[number] === text);
      });
    });

    it('one after the other, also after a pause', async () => {
      await use(openTunnel(key, target, NEVER), async ({ host, port }) => {
        await until(() => target.connections === 0, 120_000);
        for (const text of ['first', 'second']) assert.equal(await echo(host, port, text), text);
      });
    });

    it('on the loopback address only, and a new port each time', async () => {
      await use(openTunnel(key, target, NEVER), (one) =>
        use(openTunnel(key, target, NEVER), async (other) => {
          assert.equal(one.host, '127.0.0.1');
          assert.notEqual(one.port, other.port);
        }),
      );
    });

    it('with back-pressure: a side that does not read stops the other', async () => {
      await use(openTunnel(key, target, NEVER), async ({ host, port }) => {
        const socket = connect(port, host);
        await once(socket, 'connect');
        socket.pause();
        target.flood = true;
        socket.write('begin');
        await until(() => target.restedMs > 500, 120_000);
        assert.ok(target.sent < 64 * MIB, `${target.sent} bytes were taken from the server for nobody`);
        target.flood = false;
        socket.destroy();
      });
    });

    it('and the last answer of a side that closes at once', async () => {
      target.farewell = 'FATAL: too many connections';
      try {
        await use(openTunnel(key, target, NEVER), async ({ host, port }) => {
          assert.equal(await echo(host, port, 'a greeting that nobody reads'), 'FATAL: too many connections');
        });
      } finally {
        target.farewell = undefined;
      }
    });
  });

  describe('says what is wrong', () => {
    it('when the target refuses', async () => {
      const port = await freePort();
      const error = await openTunnel(key, { host: '127.0.0.1', port }, NEVER).catch(
        (thrown: unknown) => thrown,
      );
      assertError(error, 'unavailable', new RegExp(`cannot connect to 127.0.0.1:${port}`), true);
    });

    it('when the SSH host forbids forwarding', async () => {
      const strict = await startSshd({ config: ['AllowTcpForwarding no'] });
      try {
        assert.ok(strict.settings.auth === 'key');
        const error = await refusal(strict.settings);
        assertError(error, 'permission', /does not allow/);
      } finally {
        await strict.stop();
      }
    });

    it('when the target is gone later on', async () => {
      const leaving = await EchoServer.start();
      await use(openTunnel(key, leaving, NEVER), async ({ host, port, broken }) => {
        assert.equal(await echo(host, port, 'still there'), 'still there');
        await leaving.stop();
        await assert.rejects(echo(host, port, 'gone'), { code: 'ECONNRESET' });
        assertError(broken.reason, 'unavailable', new RegExp(`cannot connect to 127.0.0.1:${leaving.port}`));
      });
    });

    for (const [what, fault] of [
      ['the SSH server is killed', async () => sshd.killSessions()],
      ['the network cuts the SSH connection', async (proxy: TestProxy) => proxy.cut()],
      ['the network resets the SSH connection', async (proxy: TestProxy) => proxy.reset()],
    ] as const) {
      it(`when ${what}: its connections are reset, not ended`, async () => {
        const proxy = await TestProxy.start(sshd);
        try {
          const tunnel = await openTunnel({ ...key, port: proxy.port }, target, NEVER);
          const sockets = [connect(tunnel.port, tunnel.host), connect(tunnel.port, tunnel.host)];
          await Promise.all(sockets.map((socket) => once(socket, 'connect')));
          for (const socket of sockets) socket.write('hello');
          await Promise.all(sockets.map((socket) => once(socket, 'data')));
          const errors = sockets.map(
            (socket) =>
              new Promise<unknown>((resolve) => socket.on('error', resolve).on('end', () => resolve('end'))),
          );
          await fault(proxy);
          for (const error of await Promise.all(errors)) assertCode(error, 'ECONNRESET');
          assertError(tunnel.broken.reason, 'unavailable', /The SSH connection to .* broke/, true);
          await assert.rejects(once(connect(tunnel.port, tunnel.host), 'connect'), { code: 'ECONNREFUSED' });
          await tunnel.close();
        } finally {
          await proxy.close();
        }
      });
    }
  });

  describe('ends', () => {
    it('when it is closed: no socket is left, and nothing counts as broken', async () => {
      const tunnel = await openTunnel(key, target, NEVER);
      const socket = connect(tunnel.port, tunnel.host);
      await once(socket, 'connect');
      const closed = once(socket, 'close').catch(() => undefined);
      await Promise.all([tunnel.close(), tunnel.close()]);
      await closed;
      assert.equal(tunnel.broken.aborted, false);
      await assert.rejects(once(connect(tunnel.port, tunnel.host), 'connect'), { code: 'ECONNREFUSED' });
    });

    it('when the work is aborted', async () => {
      const controller = new AbortController();
      const tunnel = await openTunnel(key, target, controller.signal);
      controller.abort(new Error('enough'));
      await until(() => target.connections === 0 && sshd.sessions().length === 0, 120_000);
      await tunnel.close();
    });

    it('when the work is aborted while its port opens', async () => {
      const work = new AbortController();
      const { listen } = Server.prototype;
      Server.prototype.listen = function (this: Server, ...args: unknown[]) {
        work.abort();
        return Reflect.apply(listen, this, args);
      } as typeof listen;
      const listening = () =>
        process.getActiveResourcesInfo().filter((name) => name === 'TCPServerWrap').length;
      const before = listening();
      try {
        await assert.rejects(openTunnel(key, target, work.signal), { code: 'aborted' });
      } finally {
        Server.prototype.listen = listen;
      }
      await until(() => listening() === before, 120_000);
    });

    it('when the work is aborted while it opens', async () => {
      const proxy = await TestProxy.start(sshd);
      proxy.accepts = 'silence';
      try {
        const controller = new AbortController();
        const opening = openTunnel({ ...key, port: proxy.port }, target, controller.signal);
        opening.catch(() => undefined);
        await until(() => proxy.connections === 1, 120_000);
        controller.abort(new Error('enough'));
        assertError(await opening.catch((error: unknown) => error), 'aborted', /enough/);
        await until(() => proxy.connections === 0, 120_000);
        await assert.rejects(openTunnel(key, target, controller.signal), /enough/);
      } finally {
        await proxy.close();
      }
    });
  });

  describe('reach', () => {
    it('gives a server without a tunnel back as it is', async () => {
      const reached = await reach({ host: 'db.example', port: 5432 }, NEVER);
      const { host, port, serverName, signal } = reached;
      assert.deepEqual(
        { host, port, serverName },
        { host: 'db.example', port: 5432, serverName: 'db.example' },
      );
      assert.equal(signal, NEVER);
      await reached.close();
    });

    it('leads through the tunnel, and names the server as its certificate does', async () => {
      const reached = await reach({ host: 'localhost', port: target.port, tunnel: key }, NEVER);
      try {
        assert.equal(reached.serverName, 'localhost');
        assert.equal(await echo(reached.host, reached.port, 'hello'), 'hello');
      } finally {
        await reached.close();
      }
      assert.equal(reached.signal.aborted, false);
    });

    it('aborts the work, with the cause, when the tunnel breaks', async () => {
      const reached = await reach({ host: 'localhost', port: target.port, tunnel: key }, NEVER);
      sshd.killSessions();
      await until(() => reached.signal.aborted, 120_000);
      assertError(reached.signal.reason, 'unavailable', /The SSH connection to .* broke/);
      await reached.close();
    });

    it('refuses a Unix socket behind a tunnel', async () => {
      const server = { host: '/run/postgresql', port: 5432, tunnel: key };
      await assert.rejects(reach(server, NEVER), (error) => hasCode(error, 'invalid-config'));
    });
  });
});

/** Gives back what it is sent, until its user ends. */
class EchoServer {
  readonly host = '127.0.0.1';
  readonly port: number;
  /** It sends without end instead. */
  flood = false;
  /** It says this at once and closes instead. */
  farewell: string | undefined;
  sent = 0;
  #sentAt = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (socket) => this.#serve(socket));
  }

  static async start(): Promise<EchoServer> {
    const server = createServer({ allowHalfOpen: true });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new EchoServer(server);
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** How long it could send nothing more, in ms. */
  get restedMs(): number {
    return this.sent === 0 ? 0 : Date.now() - this.#sentAt;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
    if (this.farewell !== undefined) {
      socket.end(this.farewell);
      socket.resume();
    } else if (this.flood) this.#flood(socket);
    else {
      socket.once('data', (first) => {
        if (this.flood) this.#flood(socket);
        else {
          socket.write(first);
          socket.pipe(socket);
        }
      });
      socket.once('end', () => socket.end());
    }
  }

  #flood(socket: Socket): void {
    const block = Buffer.alloc(64 * 1024);
    const send = () => {
      for (let more = true; more && this.flood && this.sent < 256 * MIB; ) {
        more = socket.write(block);
        this.sent += block.length;
        this.#sentAt = Date.now();
      }
    };
    socket.on('drain', send);
    send();
  }
}

async function echo(host: string, port: number, text: string): Promise<string> {
  const socket = connect({ port, host, allowHalfOpen: true });
  socket.setEncoding('utf8').end(text);
  let answer = '';
  for await (const part of socket) answer += part;
  return answer;
}

function without({ privateKey: _, ...options }: SshOptions & { auth: 'key' }): SshOptions & { auth: 'key' } {
  return options;
}

function agentOptions({ host, port, user, hostKeys }: SshOptions): SshOptions & { auth: 'agent' } {
  return { host, port, user, hostKeys, auth: 'agent', agentSocket: '' };
}

function hasCode(error: unknown, code: string): boolean {
  assertCode(error, code);
  return true;
}

function assertCode(error: unknown, code: string): void {
  assert.equal(error instanceof Error ? Reflect.get(error, 'code') : error, code);
}

function assertError(error: unknown, code: string, message: RegExp, transient = false): void {
  assertCode(error, code);
  assert.ok(error instanceof Error);
  assert.match(error.message, message);
  if (transient) assert.equal(Reflect.get(error, 'transient'), true);
}
