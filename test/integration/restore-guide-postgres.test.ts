import assert from 'node:assert/strict';
import type { POSTGRES_FORMATS } from '../../lib/sources/postgres/options.ts';
import { createPostgresSource } from '../../lib/sources/postgres/postgres-source.ts';
import { comparePortraits, portrait } from '../fixtures/postgres-compare.ts';
import { createShop } from '../fixtures/postgres-shop.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { useLocalFolders } from '../support/engine-run.ts';
import { followGuide, storeSet } from '../support/guide.ts';

const NAMES = ['shop', '-x', `it's "100%" = \\ $(id) \`id\` ü😀`, 'postgresql://x'];

describe('RESTORE.md of PostgreSQL, followed to the letter', function () {
  this.timeout(180_000);
  const folder = useLocalFolders();
  let from: TestPostgres;

  before(async () => {
    from = await startPostgres();
    await from.query(`CREATE ROLE "the owner" LOGIN PASSWORD 'x'`);
    for (const [seed, name] of NAMES.entries()) {
      await createShop(from, name, { megabytes: 0.2, seed: seed + 1 });
      await from.query('ALTER TABLE orders OWNER TO "the owner"', name);
    }
  });
  after(async () => await from?.stop());

  for (const format of ['custom', 'plain', 'tar'] satisfies (typeof POSTGRES_FORMATS)[number][]) {
    it(`gives every database and role back to an empty server, in the ${format} format`, async () => {
      const source = createPostgresSource(from.settings, { format, exclude: ['postgres'] });
      const set = await storeSet(source, await folder());
      const to = await startPostgres();
      try {
        const said = await followGuide(set, {
          PGHOST: to.socketFolder,
          PGPORT: String(to.settings.port),
          PGUSER: 'postgres',
          PGPASSWORD: from.password,
        });
        assert.match(said, /role "postgres" already exists/);
        assert.deepEqual(await to.query(`SELECT FROM pg_roles WHERE rolname = 'the owner' AND rolcanlogin`), [
          {},
        ]);
        for (const name of NAMES) {
          const [found, original] = [await portrait(to, name), await portrait(from, name)];
          comparePortraits({ ...found, properties: original.properties }, original);
        }
      } finally {
        await to.stop();
      }
    });
  }
});
