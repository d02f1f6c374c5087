import assert from 'node:assert/strict';
import { createPostgresRestoreTarget } from '../../lib/sources/postgres/postgres-restore.ts';
import { freePort } from '../support/free-port.ts';
import { RUNNING, type Settings, SHOP, streamOf, useRestoringServer } from '../support/postgres-restoring.ts';

describe('what the restore into PostgreSQL refuses before a byte is read', function () {
  this.timeout(180_000);
  const of = useRestoringServer();

  afterEach(async () => assert.deepEqual(await of().databases(), [SHOP]));

  const unfit: [string, Settings, RegExp][] = [
    ['an unknown format', { format: 'pg-cloud' }, /has the format pg-cloud, which is none of PostgreSQL/],
    ['another engine', { format: 'mysql-sql' }, /none of PostgreSQL/],
    ['a script with several jobs', { format: 'pg-plain', jobs: 2 }, /set jobs to 1/],
    ['a tar file with several jobs', { format: 'pg-tar', jobs: 2 }, /set jobs to 1/],
    ['no job', { jobs: 0 }, /0 is no number of jobs/],
    ['a part of a script', { format: 'pg-plain', tables: ['child'] }, /only be restored as a whole/],
    ['the schema of a script', { format: 'pg-plain', content: 'schema' }, /only be restored as a whole/],
    ['a script without its owners', { format: 'pg-plain', owners: false }, /without its owners/],
    ['globals without privileges', { format: 'pg-globals', privileges: false }, /without its owners/],
    ['no name', { database: '' }, /Name the database/],
    ['a name that is too long', { database: 'ä'.repeat(32) }, /64 bytes, PostgreSQL allows 63/],
    ['a template', { database: 'template1' }, /restore under another name/],
  ];
  for (const [what, settings, message] of unfit) {
    it(`${what}`, () => {
      assert.throws(() => of().target(settings), { code: 'invalid-config', message });
    });
  }

  it('a database that exists', async () => {
    await assert.rejects(of().target({ database: SHOP }).check(1, RUNNING), {
      code: 'already-exists',
      message: /The database the "shop" = 1 exists on PostgreSQL server .*restore under another name/,
    });
  });

  it('data for a database that does not exist', async () => {
    await assert.rejects(of().target({ content: 'data', overwrite: 'replace' }).check(1, RUNNING), {
      code: 'invalid-config',
      message: /no database live .* that data could go into/,
    });
  });

  it('a user who may not create databases', async () => {
    await assert.rejects(of().target({}, { user: 'weak', password: 'weak' }).check(1, RUNNING), {
      code: 'permission',
      message: /weak may not create databases .*CREATEDB/,
    });
  });

  it("a database of somebody else's", async () => {
    const target = of().target(
      { database: SHOP, overwrite: 'replace' },
      { user: 'maker', password: 'maker' },
    );
    await assert.rejects(target.check(1, RUNNING), {
      code: 'permission',
      message: /does not belong to the user maker/,
    });
  });

  it('a user who may not create roles', async () => {
    const target = of().target({ format: 'pg-globals' }, { user: 'maker', password: 'maker' });
    await assert.rejects(target.check(1, RUNNING), { code: 'permission', message: /may not create roles/ });
  });

  it('a server that does not answer, and a wrong password', async () => {
    const elsewhere = of().target({}, { port: await freePort() });
    await assert.rejects(elsewhere.check(1, RUNNING), { code: 'unavailable', transient: true });
    const wrong = of().target({}, { password: 'not it' });
    await assert.rejects(wrong.check(1, RUNNING), (error: Error) => {
      assert.match(error.message, /password authentication failed/);
      return !error.message.includes('not it');
    });
  });

  it('a dump that is newer than every tool, and a folder without tools', async () => {
    const newer = createPostgresRestoreTarget(
      { ...of().server.settings, toolsFolder: of().server.toolsFolder },
      { ...options(), engineVersion: '99.1' },
    );
    await assert.rejects(newer.check(1, RUNNING), {
      code: 'unavailable',
      message: /99\.1 is newer than pg_restore 15/,
    });
    const none = of().target({}, { toolsFolder: of().spool });
    await assert.rejects(none.check(1, RUNNING), { code: 'unavailable', message: /no pg_restore in/ });
  });

  it('more than the spool folder can take, and a spool folder that is not there', async () => {
    await assert.rejects(
      of()
        .target({ jobs: 2 })
        .check(2 ** 60, RUNNING),
      { code: 'no-space', message: /bytes free/ },
    );
    await assert.rejects(of().target({ jobs: 2, spoolDirectory: '/nowhere' }).check(1, RUNNING), {
      message: /The spool folder \/nowhere cannot be used/,
    });
  });

  it('a dump of which it does not know the kind', async () => {
    await assert.rejects(of().restore({}, {}, streamOf(of().dump('pg-plain'))), { code: 'corrupt' });
    await assert.rejects(of().restore({ format: 'pg-plain' }, {}, streamOf(of().dump('pg-custom'))), {
      name: 'BackupError',
    });
  });

  function options() {
    return {
      database: 'live',
      format: 'pg-custom',
      overwrite: 'refuse',
      safetyCopy: true,
      content: 'all',
      tables: [],
      owners: true,
      privileges: true,
      jobs: 1,
      spoolDirectory: '',
    } as const;
  }
});
