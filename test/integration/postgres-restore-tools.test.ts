import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { comparePortraits, portrait } from '../fixtures/postgres-compare.ts';
import { createShop } from '../fixtures/postgres-shop.ts';
import { orSkip } from '../servers/foreign-suite.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { useLocalFolders } from '../support/engine-run.ts';
import { backUp, databasesOf, putBack } from '../support/postgres-backup.ts';

describe('a restore into PostgreSQL of a stored set', function () {
  this.timeout(180_000);
  const folder = useLocalFolders();
  let server: TestPostgres;

  before(async () => {
    server = await startPostgres();
    await createShop(server, 'shop', { megabytes: 4, seed: 1 });
  });
  afterEach(async () => {
    for (const name of await databasesOf(server)) {
      if (name !== 'shop') await server.query(`DROP DATABASE "${name}"`);
    }
  });
  after(async () => await server?.stop());

  for (const place of [0.001, 0.4, 0.999]) {
    it(`believes no set with a wrong byte at ${place * 100} %`, async () => {
      const { root, driver } = await folder();
      const dump = await backUp(server, 'shop', driver);
      const path = join(root, dump.set.path, dump.artifact.file);
      const bytes = await readFile(path);
      const at = Math.floor(bytes.length * place);
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
      await writeFile(path, bytes);
      for (const jobs of [1, 2]) {
        await assert.rejects(putBack(server.settings, dump, 'restored', { jobs }), { name: 'BackupError' });
        assert.deepEqual(await databasesOf(server), ['shop']);
      }
    });
  }

  describe('with the tools of PostgreSQL 17 for a server of version 15', () => {
    let newer: TestPostgres;
    before(async function () {
      this.timeout(20 * 60_000);
      newer = await orSkip(this, () => startPostgres({ major: 17 }));
    });
    after(async () => await newer?.stop());

    for (const format of ['custom', 'plain', 'tar'] as const) {
      it(`does not mind that they set what the server does not know, in the ${format} format`, async () => {
        const settings = { ...server.settings, toolsFolder: newer.toolsFolder };
        const { driver } = await folder();
        const dump = await backUp({ settings }, 'shop', driver, format);
        await putBack(settings, dump, 'restored');
        const [found, original] = [await portrait(server, 'restored'), await portrait(server, 'shop')];
        comparePortraits(
          format === 'plain' ? { ...found, properties: original.properties } : found,
          original,
        );
      });
    }

    it('says what to install when it wants several jobs', async () => {
      const settings = { ...server.settings, toolsFolder: newer.toolsFolder };
      const { driver } = await folder();
      const dump = await backUp(server, 'shop', driver);
      await assert.rejects(putBack(settings, dump, 'restored', { jobs: 2 }), {
        code: 'unavailable',
        message: /install postgresql-client-15, or set jobs to 1/,
      });
    });
  });
});
