import assert from 'node:assert/strict';
import { createConnection } from 'mysql2/promise';
import { createMysqlSource } from '../../lib/sources/mysql/mysql-source.ts';
import type { MysqlServer } from '../../lib/sources/mysql/options.ts';
import { createShop } from '../fixtures/mysql-shop.ts';
import { orSkip } from '../servers/foreign-suite.ts';
import { startMariadb } from '../servers/mariadb.ts';
import { startMysql } from '../servers/mysql.ts';
import type { TestMysqlServer } from '../servers/mysql-server.ts';
import { TestProxy } from '../servers/proxy.ts';
import { FaultyRuns, observed } from '../support/mysql-faults.ts';
import { until } from '../support/until.ts';

const signal = new AbortController().signal;

describe('a MySQL dump that goes wrong', function () {
  this.timeout(180_000);
  let server: TestMysqlServer;
  let mariadb: TestMysqlServer;
  let runs: FaultyRuns;

  before(async function () {
    this.timeout(15 * 60_000);
    server = await orSkip(this, startMysql);
    mariadb = await startMariadb();
    runs = await FaultyRuns.open(server);
    await createShop(server, 'shop', { megabytes: 12, seed: 1 });
    await server.query('CREATE DATABASE plain; CREATE TABLE plain.t (a int); INSERT INTO plain.t VALUES (1)');
  });
  after(async () => {
    await runs?.close();
    await Promise.all([server?.stop(), mariadb?.stop()]);
  });
  afterEach(async () => await runs?.requireNothingLeft());

  function sourceOf(settings: Partial<MysqlServer> = {}, databases = ['shop'], lockTimeout = 60) {
    return createMysqlSource({ ...server.settings, ...settings }, { databases, users: false, lockTimeout });
  }

  it('because its tool is killed', async () => {
    let killed = false;
    const source = observed(sourceOf(), async (_, bytes) => {
      if (killed || bytes === 0) return;
      killed = true;
      await until(() => runs.children().length === 1, 120_000);
      for (const child of runs.children()) process.kill(child, 'SIGKILL');
    });
    await runs.requireFailure(source, 'incomplete', /^mysqldump of shop was killed \(SIGKILL\)/);
  });

  it('because the connection is cut', async () => {
    const proxy = await TestProxy.start(server.settings);
    try {
      const source = observed(sourceOf({ port: proxy.port, tls: 'off' }), (_, bytes) => {
        if (bytes > 0 && bytes < 2_000_000) proxy.cut();
      });
      await runs.requireFailure(source, 'unavailable', /^mysqldump of shop failed with exit code \d/);
    } finally {
      await proxy.close();
    }
  });

  it('because somebody holds a lock for longer than it may wait', async () => {
    const { user, password = '' } = server.settings;
    const holder = await createConnection({ socketPath: server.socket, user, password });
    try {
      await holder.query('LOCK TABLES shop.log WRITE');
      await runs.requireFailure(
        sourceOf({}, ['shop'], 1),
        'unavailable',
        /^mysqldump of shop failed.*Lock wait timeout exceeded/,
      );
    } finally {
      await holder.end();
    }
  });

  it('because the user may not read one table', async () => {
    await server.query(`
      CREATE USER few IDENTIFIED BY 'few';
      GRANT TRIGGER, EVENT, SHOW VIEW ON shop.* TO few;
      GRANT SELECT ON shop.accounts TO few`);
    const source = sourceOf({ user: 'few', password: 'few' });
    await runs.requireFailure(source, 'permission', /no SELECT, so that tables that it may not read/);
  });

  it('because MariaDB writes rows of generated columns that MySQL does not take back', async () => {
    const source = sourceOf({ toolsFolder: '' }, ['shop', 'plain']);
    const { warnings } = await source.probe(signal);
    assert.match(
      warnings[0] ?? '',
      /^mariadb-dump 10\.11\.\d+ dumps the MySQL server .*install mysql-client/,
    );
    assert.match(warnings.join('\n'), /^shop: shop has generated columns/m);
    const { result, files } = await runs.run(source);
    assert.equal(result.state, 'partial');
    const failed = result.artifacts.filter(({ error }) => error !== undefined);
    assert.deepEqual(
      failed.map(({ database, error }) => [database, error?.code]),
      [['shop', 'unavailable']],
    );
    assert.ok(files.some((file) => file.endsWith('plain.sql')));
  });

  it('of MariaDB, because mysqldump cannot do it: nothing is opened', async () => {
    const { toolsFolder } = server.settings;
    const source = createMysqlSource({ ...mariadb.settings, toolsFolder }, { users: false });
    const refused = { code: 'unavailable', message: /^mysqldump 9\.\d+\.\d+ .*install mariadb-client/ };
    await assert.rejects(async () => await source.prepare?.(signal), refused);
    await assert.rejects(source.probe(signal), refused);
    await assert.rejects(source.dump({ id: 'database:mysql', name: 'mysql' }, signal), refused);
  });
});
