import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createMysqlSource } from '../../lib/sources/mysql/mysql-source.ts';
import { imageOf, requireSameImage } from '../fixtures/mysql-compare.ts';
import { createShop } from '../fixtures/mysql-shop.ts';
import { startMariadb } from '../servers/mariadb.ts';
import type { TestMysqlServer } from '../servers/mysql-server.ts';
import { useLocalFolders } from '../support/engine-run.ts';
import { followGuide, storeSet } from '../support/guide.ts';

/** Not with quotes: mariadb-dump cannot select such a database. */
const NAMES = ['shop', '-x', '100% = $(id) `id` ü'];

describe('RESTORE.md of MariaDB, followed to the letter', function () {
  this.timeout(180_000);
  const folder = useLocalFolders();
  let from: TestMysqlServer;
  let to: TestMysqlServer;
  let home: string;

  before(async () => {
    [from, to] = await Promise.all([startMariadb(), startMariadb()]);
    home = await mkdtemp(join(tmpdir(), 'dbackup-guide-home-'));
    const { user, password = '' } = to.settings;
    const quoted = password.replaceAll(/["\\]/g, '\\$&');
    const lines = ['[client]', `socket=${to.socket}`, `user=${user}`, `password="${quoted}"`, ''];
    await writeFile(join(home, '.my.cnf'), lines.join('\n'), { mode: 0o600 });
  });
  after(async () => {
    await from?.stop();
    await to?.stop();
    await rm(home, { recursive: true });
  });

  it('gives every database and user back to an empty server', async () => {
    for (const [seed, name] of NAMES.entries()) {
      await createShop(from, name, { megabytes: 0.2, seed: seed + 1 });
    }
    await from.query(`CREATE USER clerk@'%' IDENTIFIED BY 'x'; GRANT SELECT ON shop.accounts TO clerk@'%'`);
    const set = await storeSet(createMysqlSource(from.settings, { databases: ['*'] }), await folder());
    await followGuide(set, { HOME: home });
    for (const name of NAMES) requireSameImage(await imageOf(to, name), await imageOf(from, name));
    const grants = `SHOW GRANTS FOR clerk@'%'`;
    assert.deepEqual(await to.query(grants), await from.query(grants));
  });
});
