import assert from 'node:assert/strict';
import { type Portrait, portrait } from '../fixtures/postgres-compare.ts';
import { failing, SHOP, useRestoringServer } from '../support/postgres-restoring.ts';

const KEPT = /^live_before_restore_\d{8}T\d{6}Z$/;

describe('the restore of a part of a database into PostgreSQL', function () {
  this.timeout(180_000);
  const of = useRestoringServer();

  it('makes a new database of one table with what it needs', async () => {
    const report = await of().restore({ tables: ['child'] });
    assert.deepEqual(await of().ids('child'), [1, 2, 3]);
    assert.match(report.proof.warnings.join(), /FK CONSTRAINT public\.child child to parent is left out/);
    const objects = await of().server.query(
      `SELECT conname FROM pg_constraint WHERE conrelid = 'child'::regclass ORDER BY 1`,
      'live',
    );
    assert.deepEqual(objects, [{ conname: 'child key' }]);
    assert.deepEqual(await of().server.query('SELECT last_value FROM child_id_seq', 'live'), [
      { last_value: '3' },
    ]);
  });

  it('makes a new database of the schema alone', async () => {
    await of().restore({ content: 'schema' });
    assert.deepEqual(await of().ids('child'), []);
    assert.equal((await portrait(of().server, 'live')).schema, (await portrait(of().server, SHOP)).schema);
  });

  describe('into a database that is there', () => {
    beforeEach(async () => {
      await of().restore();
      await of().change(
        `DELETE FROM child; UPDATE parent SET name = 'changed'; INSERT INTO "Other %" VALUES (99)`,
      );
    });

    it('replaces the data of a table that others refer to', async () => {
      const report = await of().restore({
        overwrite: 'replace',
        content: 'data',
        tables: ['parent', 'child'],
      });
      comparePart(await portrait(of().server, 'live'), await portrait(of().server, SHOP), [
        'public.child',
        'public.parent',
      ]);
      assert.deepEqual(await of().ids('"Other %"'), [1, 2, 99]);
      assert.match(report.safetyCopy ?? '', KEPT);
      assert.deepEqual(await of().ids('child', report.safetyCopy), []);
      await of().restore({
        overwrite: 'replace',
        content: 'data',
        tables: ['public.parent'],
        safetyCopy: false,
      });
    });

    it('replaces all data', async () => {
      await of().restore({ overwrite: 'replace', content: 'data', safetyCopy: false });
      const [live, shop] = [await portrait(of().server, 'live'), await portrait(of().server, SHOP)];
      assert.deepEqual(live.rows, shop.rows);
      assert.deepEqual(live.largeObjects, shop.largeObjects);
      assert.deepEqual(live.sequences, shop.sequences);
    });

    it('replaces a table while others use the database', async () => {
      const other = await of().connect('live');
      await other.query('SELECT 1');
      await of().restore({ overwrite: 'replace', tables: ['child'], safetyCopy: false });
      comparePart(await portrait(of().server, 'live'), await portrait(of().server, SHOP), ['public.child']);
      assert.equal((await portrait(of().server, 'live')).schema, (await portrait(of().server, SHOP)).schema);
      assert.equal((await other.query('SELECT 1')).rowCount, 1);
    });

    it('refuses rows that would refer to nothing', async () => {
      await of().change(`DELETE FROM parent WHERE id = 3`);
      await assert.rejects(of().restore({ overwrite: 'replace', content: 'data', tables: ['child'] }), {
        message: /rows of public\.child would refer to rows of public\.parent that are not there/,
      });
      assert.deepEqual(await of().ids('child'), []);
      assert.deepEqual(await of().databases(), ['live', SHOP].sort());
    });

    it('changes nothing when the dump turns out wrong at its end', async () => {
      for (const settings of [{ tables: ['child'] }, { content: 'data' }, { content: 'schema' }] as const) {
        const raw = failing(of().dump('pg-custom'));
        await assert.rejects(
          of().restore({ overwrite: 'replace', ...settings }, {}, raw),
          /the hash is wrong/,
        );
      }
      assert.deepEqual(await of().ids('child'), []);
      assert.deepEqual(await of().ids('"Other %"'), [1, 2, 99]);
      assert.deepEqual(await of().databases(), ['live', SHOP].sort());
    });
  });

  it('names the tables that there are', async () => {
    await assert.rejects(of().restore({ tables: ['childs'] }), {
      code: 'not-found',
      message: /no table childs; it has .*public\.child/,
    });
  });
});

function comparePart(restored: Portrait, original: Portrait, tables: readonly string[]): void {
  for (const table of tables) {
    assert.notEqual(original.rows[table], undefined);
    assert.equal(restored.rows[table], original.rows[table]);
  }
}
