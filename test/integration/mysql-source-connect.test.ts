import assert from 'node:assert/strict';
import { createConnection } from 'mysql2/promise';
import { BackupError } from '../../lib/errors.ts';
import type { Dump } from '../../lib/sources/driver.ts';
import { connectMysql } from '../../lib/sources/mysql/connect.ts';
import { createMysqlSource } from '../../lib/sources/mysql/mysql-source.ts';
import { clientOptionFile } from '../../lib/sources/mysql/option-file.ts';
import type { MysqlServer } from '../../lib/sources/mysql/options.ts';
import { findMysqlTool } from '../../lib/sources/mysql/tools.ts';
import { runTool } from '../../lib/tool/run-tool.ts';
import { createShop } from '../fixtures/mysql-shop.ts';
import { sessionsLeft } from '../fixtures/mysql-source-fixture.ts';
import { startMariadb } from '../servers/mariadb.ts';
import type { TestMysqlServer } from '../servers/mysql-server.ts';
import { TestProxy } from '../servers/proxy.ts';
import { startSshd, type TestSshd } from '../servers/sshd.ts';

const running = new AbortController().signal;
const CIPHER = "SHOW SESSION STATUS LIKE 'Ssl_cipher'";

describe('connecting to MariaDB', function () {
  this.timeout(240_000);
  let server: TestMysqlServer;
  let plain: TestMysqlServer;
  let sshd: TestSshd;

  before(async () => {
    [server, plain, sshd] = await Promise.all([
      startMariadb({ settings: { 'max-connections': '12' } }),
      startMariadb({ settings: { ssl: '0' } }),
      startSshd(),
    ]);
    await createShop(server, 'shop', { megabytes: 2, seed: 1 });
  });
  after(async () => {
    await Promise.all([server?.stop(), plain?.stop(), sshd?.stop()]);
  });
  afterEach(async () => assert.deepEqual(await sessionsLeft(server), []));

  /** Whether TLS was used, as our own session and as the tool connect: always the same. */
  async function usesTls(settings: MysqlServer): Promise<boolean> {
    const session = await connectMysql(settings, undefined, running);
    const tool = await findMysqlTool('client', { folder: '', flavour: session.flavour }, running);
    const file = await clientOptionFile(settings, session, tool);
    try {
      const [[, mine = ''] = []] = await session.query(CIPHER);
      const command = {
        program: tool.path,
        args: [file.argument, '--skip-column-names', '-e', CIPHER],
        env: file.env,
        subject: tool.path,
      };
      const { stdout } = await runTool(command, running);
      assert.equal(stdout.trim(), `Ssl_cipher\t${mine}`.trim());
      return mine !== '';
    } finally {
      await file.remove();
      await session.close();
    }
  }

  it('uses TLS when the server has it, and says so when it must and the server has not', async () => {
    assert.equal(await usesTls(server.settings), true);
    assert.equal(await usesTls({ ...server.settings, tls: 'off' }), false);
    assert.equal(await usesTls(plain.settings), false);
    await assert.rejects(usesTls({ ...plain.settings, tls: 'require' }), {
      code: 'unavailable',
      message: /turn TLS on there, or choose another TLS mode$/,
    });
  });

  it('goes through an SSH tunnel, where the certificate must name the server all the same', async () => {
    const { caFile } = server.certificates;
    const tunnelled = { ...server.settings, tunnel: sshd.settings, caFile };
    for (const over of [{}, { tls: 'off' }, { tls: 'verify-full', host: 'localhost' }] as const) {
      const source = createMysqlSource({ ...tunnelled, ...over }, { users: false });
      const dump = await source.dump({ id: 'database:shop', name: 'shop' }, running);
      assert.match((await bytesOf(dump)).subarray(-20).toString(), /Dump completed\n$/);
      await dump.proof;
    }
    const wrong = createMysqlSource({ ...tunnelled, tls: 'verify-full' }, { users: false });
    await assert.rejects(wrong.probe(running), {
      code: 'unavailable',
      message: /127\.0\.0\.1 is not in the/,
    });
  });

  it('ends with a server that takes too many connections already', async () => {
    const { user, password = '' } = server.settings;
    const others = await Promise.all(
      Array.from({ length: 13 }, () => createConnection({ socketPath: server.socket, user, password })),
    );
    try {
      await assert.rejects(connectMysql(server.settings, undefined, running), {
        code: 'unavailable',
        transient: true,
        message: /Too many connections/,
      });
    } finally {
      await Promise.all(others.map((other) => other.end()));
    }
  });

  it('ends with a server that does not answer, by its time limit and by an abort', async () => {
    const proxy = await TestProxy.start(server.settings);
    proxy.accepts = 'silence';
    try {
      const settings = { ...server.settings, port: proxy.port };
      await assert.rejects(connectMysql({ ...settings, connectTimeout: 1 }, undefined, running), {
        code: 'unavailable',
        transient: true,
      });
      const abort = new AbortController();
      const reason = new BackupError('aborted', 'Enough');
      const connecting = connectMysql(settings, undefined, abort.signal);
      setTimeout(() => abort.abort(reason), 50);
      await assert.rejects(connecting, (error) => error === reason);
    } finally {
      await proxy.close();
    }
  });

  it('keeps a query from going on after an abort', async () => {
    const abort = new AbortController();
    const reason = new BackupError('aborted', 'Enough');
    const session = await connectMysql(server.settings, undefined, abort.signal);
    const asking = session.query('SELECT SLEEP(60)');
    abort.abort(reason);
    await assert.rejects(asking, (error) => error === reason);
    await assert.rejects(session.query('SELECT 1'), (error) => error === reason);
    await session.close();
    await server.query(`KILL ${session.connectionId}`).catch(() => undefined);
  });

  describe('for a dump of users', () => {
    const users = { id: 'users:', name: 'users' };

    it('leaves nothing behind when it is aborted before, in the middle and after', async () => {
      const source = createMysqlSource(server.settings, {});
      await assert.rejects(source.dump(users, AbortSignal.abort()), { code: 'aborted' });
      const abort = new AbortController();
      const dump = await source.dump(users, abort.signal);
      const reading = (async () => {
        for await (const chunk of dump.stream) if (chunk.length > 0) abort.abort();
      })();
      await assert.rejects(reading, { code: 'aborted' });
      await assert.rejects(dump.proof, { code: 'aborted' });
      const whole = await source.dump(users, running);
      await bytesOf(whole);
      await whole.proof;
    });

    it('leaves nothing behind when nobody reads it, or not to its end', async () => {
      const source = createMysqlSource(server.settings, {});
      const abort = new AbortController();
      const unread = await source.dump(users, abort.signal);
      abort.abort();
      await assert.rejects(unread.proof, { code: 'aborted' });
      const early = await source.dump(users, running);
      for await (const chunk of early.stream) if (chunk.length > 0) break;
      await assert.rejects(early.proof, { code: 'aborted' });
      const untouched = await source.dump(users, running);
      await untouched.stream[Symbol.asyncIterator]().return?.();
      await assert.rejects(untouched.proof, { code: 'aborted' });
    });
  });
});

async function bytesOf(dump: Dump): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of dump.stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}
