import assert from 'node:assert/strict';
import { type Connection, createConnection } from 'mysql2/promise';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { createMysqlSource } from '../../lib/sources/mysql/mysql-source.ts';
import type { MysqlServer } from '../../lib/sources/mysql/options.ts';
import { createShop } from '../fixtures/mysql-shop.ts';
import { startMariadb } from '../servers/mariadb.ts';
import type { TestMysqlServer } from '../servers/mysql-server.ts';
import { TestProxy } from '../servers/proxy.ts';
import { filesBelow, runEngine } from '../support/engine-run.ts';
import { FaultyRuns, observed } from '../support/mysql-faults.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { until } from '../support/until.ts';

describe('a MariaDB dump whose server goes wrong', function () {
  this.timeout(180_000);
  let server: TestMysqlServer;
  /** A server that is killed. */
  let doomed: TestMysqlServer;
  let runs: FaultyRuns;
  let other: Connection | undefined;

  before(async () => {
    [server, doomed] = await Promise.all([startMariadb(), startMariadb()]);
    runs = await FaultyRuns.open(server);
    await createShop(server, 'shop', { megabytes: 12, seed: 1 });
    await createShop(server, 'blog', { megabytes: 0.1, seed: 2 });
    await createShop(doomed, 'shop', { megabytes: 12, seed: 1 });
  });
  after(async () => {
    await runs?.close();
    await Promise.all([server?.stop(), doomed?.stop()]);
  });
  afterEach(async () => {
    await other?.end();
    other = undefined;
    await runs.requireNothingLeft();
  });

  function sourceOf(settings: Partial<MysqlServer> = {}, databases = ['shop'], lockTimeout = 60) {
    return createMysqlSource({ ...server.settings, ...settings }, { databases, users: false, lockTimeout });
  }

  async function connectOther(): Promise<Connection> {
    const { user, password = '' } = server.settings;
    other = await createConnection({ socketPath: server.socket, user, password });
    return other;
  }

  it('because it is killed', async () => {
    const source = createMysqlSource(doomed.settings, { databases: ['shop'], users: false });
    let killing: Promise<void> | undefined;
    const watched = observed(source, async (_, bytes) => {
      if (bytes > 0) killing ??= doomed.kill();
      await killing;
    });
    await runs.requireFailure(watched, 'unavailable', /mariadb-dump of shop failed with exit code/);
  });

  it('because it does not run', async () => {
    await runs.requireFailure(
      sourceOf({ port: 1 }),
      'unavailable',
      /^MySQL server 127\.0\.0\.1:1: .*ECONNREFUSED/,
    );
  });

  for (const [action, tls] of [
    ['cut', 'off'],
    ['reset', 'off'],
    ['cut', 'require'],
    ['reset', 'require'],
  ] as const) {
    it(`because the connection with TLS ${tls} is ${action}`, async () => {
      const proxy = await TestProxy.start(server.settings);
      try {
        const watched = observed(sourceOf({ port: proxy.port, tls }), (_, bytes) => {
          if (bytes > 0 && bytes < 2_000_000) proxy[action]();
        });
        const error = await runs.requireFailure(
          watched,
          'unavailable',
          /mariadb-dump of shop failed with exit code \d: .*(2013|2006|2055|2026)/,
        );
        assert.equal(error?.transient, true, error?.message);
      } finally {
        await proxy.close();
      }
    });
  }

  it('because its destination takes nothing for longer than the server waits', async () => {
    await server.query('SET GLOBAL net_write_timeout = 1');
    try {
      let first = true;
      const slow = observed(sourceOf(), async (_, bytes) => {
        if (!first || bytes === 0) return;
        first = false;
        await until(async () => (await sessionsOf('shop')) === 0, 120_000);
      });
      const error = await runs.requireFailure(slow, 'unavailable', /net_write_timeout of the server/);
      assert.equal(error?.transient, true);
    } finally {
      await server.query('SET GLOBAL net_write_timeout = 60');
    }
  });

  /** How many sessions read a table of a database. */
  async function sessionsOf(database: string): Promise<number> {
    const rows = await server.query(
      `SELECT 1 FROM information_schema.PROCESSLIST WHERE DB = '${database}' AND INFO LIKE 'SELECT %'`,
    );
    return rows.length;
  }

  it('because of its tool, however soon the server ends sessions that are silent', async () => {
    await server.query('SET GLOBAL wait_timeout = 1');
    try {
      const before = Date.now();
      const toolsFolder = await runs.tools('sleep 3; exit 7');
      await runs.requireFailure(sourceOf({ toolsFolder }), 'incomplete', /failed with exit code 7$/);
      assert.ok(Date.now() - before > 2_500);
    } finally {
      await server.query('SET GLOBAL wait_timeout = 28800');
    }
  });

  it('because the password is wrong', async () => {
    await runs.requireFailure(
      sourceOf({ password: 'wrong-secret' }),
      'permission',
      /^(?!.*wrong-secret).*Access denied/,
    );
  });

  it('because the user may not read one table, which the tool would leave out without a word', async () => {
    await server.query(`
      CREATE OR REPLACE USER few IDENTIFIED BY 'few';
      GRANT SELECT, SHOW VIEW, TRIGGER, EVENT ON blog.* TO few;
      GRANT TRIGGER, EVENT, SHOW VIEW ON shop.* TO few;
      GRANT SELECT ON shop.accounts TO few;
      GRANT SELECT ON mysql.proc TO few`);
    const { result, files } = await runs.run(sourceOf({ user: 'few', password: 'few' }, ['blog', 'shop']));
    assert.equal(result.state, 'partial');
    const [blog, shop] = ['blog', 'shop'].map((name) =>
      result.artifacts.find(({ database }) => database === name),
    );
    assert.equal(blog?.error, undefined);
    assert.equal(shop?.error?.code, 'permission');
    assert.match(shop.error.message, /GRANT SELECT ON `shop`\.\* TO 'few'@'%'$/);
    assert.ok(files.some((file) => file.endsWith('blog.sql')));
    assert.ok(!files.some((file) => file.includes('shop.sql')));
  });

  it('because a view leads to a table that is gone', async () => {
    await server.query(
      'CREATE DATABASE broken; CREATE TABLE broken.t (a int); CREATE VIEW broken.v AS SELECT * FROM broken.t; DROP TABLE broken.t',
    );
    await runs.requireFailure(
      sourceOf({}, ['broken']),
      'incomplete',
      /View 'broken\.v' references invalid table/,
    );
    await server.query('DROP DATABASE broken');
  });

  it('because a database is dropped before its turn', async () => {
    await createShop(server, 'brief', { megabytes: 0.1, seed: 3 });
    const source = observed(sourceOf({}, ['blog', 'brief']), async (database) => {
      if (database.name === 'blog') await server.query('DROP DATABASE IF EXISTS brief');
    });
    const { result, files } = await runs.run(source);
    assert.equal(result.state, 'partial');
    const failed = result.artifacts.filter(({ error }) => error !== undefined);
    assert.deepEqual(
      failed.map(({ database, error }) => [database, error?.code]),
      [['brief', 'not-found']],
    );
    assert.ok(!files.some((file) => file.includes('brief')));
  });

  it('because a table is rebuilt after the dump has begun', async () => {
    const changer = await connectOther();
    let changing: Promise<unknown> | undefined;
    const source = observed(sourceOf(), async (_, bytes) => {
      if (bytes > 0) changing ??= changer.query('ALTER TABLE shop.transfers FORCE');
      await changing;
    });
    await runs.requireFailure(source, 'unavailable', /Error 1412: Table definition has changed/);
  });

  it('because somebody holds a lock for longer than it may wait', async () => {
    const holder = await connectOther();
    await holder.query('LOCK TABLES shop.log WRITE');
    await runs.requireFailure(
      sourceOf({}, ['shop'], 1),
      'unavailable',
      /^The dump of shop was ended: Waiting for table metadata lock for \d+ s \(.*log.*\); find out who holds the lock/,
    );
    await holder.query('UNLOCK TABLES');
  });

  it('because somebody holds a lock for longer than it may wait, with consistency by locks', async () => {
    const holder = await connectOther();
    await holder.query('LOCK TABLES shop.log WRITE');
    const options = { databases: ['shop'], users: false, lockTimeout: 1, consistency: 'lock' as const };
    await runs.requireFailure(
      createMysqlSource(server.settings, options),
      'unavailable',
      /Waiting for table metadata lock/,
    );
    await holder.query('UNLOCK TABLES');
  });

  it('does not end a dump that waits for a lock for a moment', async () => {
    const holder = await connectOther();
    await holder.query('LOCK TABLES shop.log WRITE');
    let released: Promise<unknown> | undefined;
    const source = observed(sourceOf(), (_, bytes) => {
      if (bytes > 0) released ??= holder.query('DO SLEEP(1)').then(() => holder.query('UNLOCK TABLES'));
    });
    const { result } = await runs.run(source);
    await released;
    assert.equal(result.state, 'succeeded');
  });

  it('because the disk of the destination is full', async function () {
    const disk = await mountSmallDisk(this, 'size=4m');
    try {
      const to = createLocalDestination({ root: disk.path, reserveMiB: 0 });
      const { result } = await runEngine(sourceOf(), [{ to, name: 'small' }]);
      assert.equal(result.state, 'failed');
      assert.equal(result.destinations[0]?.error?.code, 'no-space');
      assert.deepEqual(await filesBelow(disk.path), []);
    } finally {
      await disk.unmount();
    }
  });
});
