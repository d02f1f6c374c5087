import assert from 'node:assert/strict';
import { comparePortraits, portrait } from '../fixtures/postgres-compare.ts';
import { SHOP, useRestoringServer } from '../support/postgres-restoring.ts';

const KEPT = /^live_before_restore_\d{8}T\d{6}Z$/;

describe('the restore of a whole database into PostgreSQL', function () {
  this.timeout(180_000);
  const of = useRestoringServer();

  for (const [format, jobs] of [
    ['pg-custom', 1],
    ['pg-custom', 3],
    ['pg-tar', 1],
  ] as const) {
    it(`keeps what belongs to the database itself, with ${format} and ${jobs} job(s)`, async () => {
      const report = await of().restore({ format, jobs });
      comparePortraits(await portrait(of().server, 'live'), await portrait(of().server, SHOP));
      assert.match(report.target, /^database live of PostgreSQL server 127\.0\.0\.1:\d+$/);
      assert.match(report.proof.statement, /restored, 5 tables, 308 rows counted$/);
      assert.deepEqual(report.proof.warnings, []);
    });
  }

  it('leaves owners and privileges out when told so', async () => {
    const report = await of().restore({ owners: false, privileges: false });
    const found = await portrait(of().server, 'live');
    assert.deepEqual(found.rows, (await portrait(of().server, SHOP)).rows);
    const [database] = await of().server.query(`
      SELECT pg_get_userbyid(datdba) AS owner, datacl AS acl FROM pg_database WHERE datname = 'live'`);
    assert.deepEqual(database, { owner: 'postgres', acl: null });
    assert.doesNotMatch(found.schema, /app/);
    assert.match(report.proof.warnings.join(), /settings that roles have/);
  });

  it('says what a script cannot keep', async () => {
    const report = await of().restore({ format: 'pg-plain' });
    assert.match(report.proof.warnings.join(), /does not hold the settings, owner and privileges/);
    assert.deepEqual(await of().ids('child'), [1, 2, 3]);
  });

  it('replaces a database that is in use, and keeps it', async () => {
    await of().createLive();
    const [busy, idle] = [await of().connect('live'), await of().connect('live')];
    await busy.query('BEGIN; LOCK old');
    await idle.query('SELECT 1');
    const report = await of().restore({ overwrite: 'replace' });
    assert.match(report.safetyCopy ?? '', KEPT);
    assert.deepEqual(await of().ids('old', report.safetyCopy), [7]);
    assert.deepEqual(await of().ids('child'), [1, 2, 3]);
    assert.match(report.proof.warnings.join(), /^2 sessions in live were ended$/);
  });

  it('does not keep it when told so', async () => {
    await of().createLive();
    const report = await of().restore({ overwrite: 'replace', safetyCopy: false });
    assert.equal(report.safetyCopy, undefined);
    assert.deepEqual(await of().databases(), ['live', SHOP].sort());
  });

  it('replaces the database that the server node names for connecting', async () => {
    await of().createLive();
    const report = await of().restore({ overwrite: 'replace' }, { maintenanceDatabase: 'live' });
    assert.match(report.safetyCopy ?? '', KEPT);
    assert.deepEqual(await of().ids('child'), [1, 2, 3]);
  });

  it('keeps two of the same second apart, and shortens a long name', async () => {
    const database = 'ä'.repeat(31);
    for (let round = 0; round < 3; round++) await of().restore({ database, overwrite: 'replace' });
    const names = (await of().databases()).filter((name) => name !== SHOP);
    assert.equal(names.length, 3);
    for (const name of names) assert.ok(Buffer.byteLength(name) <= 63);
  });

  it('takes a role without superuser rights as far as it goes', async () => {
    const as = { user: 'maker', password: 'maker' };
    const plain = { owners: false, privileges: false };
    await assert.rejects(of().restore(plain, as), {
      code: 'permission',
      message: /ALTER DATABASE .* SET "my.word".*: permission denied/,
    });
    await of().restore({ ...plain, tables: ['child'] }, as);
    assert.deepEqual(await of().ids('child'), [1, 2, 3]);
  });
});
