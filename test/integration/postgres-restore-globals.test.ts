import assert from 'node:assert/strict';
import { createPostgresRestoreTarget } from '../../lib/sources/postgres/postgres-restore.ts';
import { createPostgresSource } from '../../lib/sources/postgres/postgres-source.ts';
import type { ServerRestoreOptions } from '../../lib/sources/server/restore-options.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { RUNNING, streamOf } from '../support/postgres-restoring.ts';

const NASTY = `Rôle "1" = 100%`;

describe('the restore of roles into PostgreSQL', function () {
  this.timeout(180_000);
  let from: TestPostgres;
  let to: TestPostgres;
  let dump: Buffer;

  before(async () => {
    [from, to] = await Promise.all([startPostgres(), startPostgres()]);
    await from.query(`
      CREATE ROLE "Rôle ""1"" = 100%" LOGIN CREATEDB PASSWORD 'gehe''im\\1;' VALID UNTIL '2040-01-01' CONNECTION LIMIT 7;
      CREATE ROLE app; CREATE ROLE "to"; CREATE ROLE existing LOGIN PASSWORD 'from the dump';
      GRANT app TO "Rôle ""1"" = 100%" WITH ADMIN OPTION; GRANT "to" TO existing;
      ALTER ROLE app SET search_path = 'a b', public; COMMENT ON ROLE app IS E'it''s; DROP ROLE \\\\x';
      GRANT SET ON PARAMETER work_mem TO "to"`);
    dump = await dumpGlobals(from);
  });
  beforeEach(async () => {
    await to.query(`CREATE ROLE existing NOLOGIN CREATEROLE; COMMENT ON ROLE existing IS 'mine'`);
  });
  afterEach(async () => {
    const names = [NASTY, 'app', 'to', 'existing']
      .map((name) => `"${name.replaceAll('"', '""')}"`)
      .join(', ');
    await to.query(
      'DO $$ BEGIN REVOKE SET ON PARAMETER work_mem FROM "to"; EXCEPTION WHEN undefined_object THEN END $$',
    );
    await to.query(`DROP ROLE IF EXISTS ${names}`);
  });
  after(async () => {
    await from?.stop();
    await to?.stop();
  });

  async function dumpGlobals(server: TestPostgres): Promise<Buffer> {
    const source = createPostgresSource(server.settings, { databases: ['postgres'] });
    const [globals] = await source.listDatabases(RUNNING);
    assert.ok(globals !== undefined);
    const { stream, proof } = await source.dump(globals, RUNNING);
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    await proof;
    return Buffer.concat(chunks);
  }

  async function restore(overwrite: ServerRestoreOptions['overwrite'] = 'refuse', bytes = dump) {
    const target = createPostgresRestoreTarget(to.settings, {
      database: '',
      format: 'pg-globals',
      engineVersion: '15.18',
      overwrite,
      safetyCopy: true,
      content: 'all',
      tables: [],
      owners: true,
      privileges: true,
      jobs: 1,
      spoolDirectory: '',
    });
    await target.check(bytes.length, RUNNING);
    return await target.restore(streamOf(bytes), RUNNING);
  }

  async function roles(server: TestPostgres): Promise<Map<string, unknown>> {
    const rows = await server.query<{ rolname: string }>(`
      SELECT a.rolname, rolsuper, rolcreatedb, rolcanlogin, rolconnlimit, rolpassword, rolvaliduntil,
             shobj_description(a.oid, 'pg_authid') AS comment,
             (SELECT setconfig FROM pg_db_role_setting WHERE setrole = a.oid) AS settings,
             ARRAY(SELECT format('%s %s', roleid::regrole, admin_option) FROM pg_auth_members
                    WHERE member = a.oid ORDER BY 1) AS memberships
        FROM pg_authid a WHERE rolname !~ '^pg_'`);
    return new Map(rows.map((row) => [row.rolname, row]));
  }

  it('creates those that are missing, and leaves the others exactly as they are', async () => {
    const before = await roles(to);
    const report = await restore();
    const [wanted, found] = [await roles(from), await roles(to)];
    for (const name of [NASTY, 'app', 'to']) assert.deepEqual(found.get(name), wanted.get(name));
    for (const name of ['existing', 'postgres']) assert.deepEqual(found.get(name), before.get(name));
    assert.deepEqual(report.proof.facts, { rolesCreated: 3, tablespacesCreated: 0 });
    assert.deepEqual(report.proof.warnings, [
      'These roles exist and were left as they are: existing, postgres',
    ]);
    const granted = await to.query(`SELECT has_parameter_privilege('to', 'work_mem', 'SET') AS may`);
    assert.deepEqual(granted, [{ may: true }]);
  });

  it('gives existing ones what the dump has when they may be replaced, and drops none', async () => {
    await to.query('CREATE ROLE "only here"');
    try {
      const { proof } = await restore('replace');
      const [wanted, found] = [await roles(from), await roles(to)];
      for (const name of ['app', 'to', NASTY]) assert.deepEqual(found.get(name), wanted.get(name));
      assert.deepEqual({ ...Object(found.get('existing')), comment: null }, wanted.get('existing'));
      assert.ok(found.has('only here'));
      assert.match(
        proof.warnings.join(),
        /not created again, but given what the dump has: existing, postgres/,
      );
    } finally {
      await to.query('DROP ROLE "only here"');
    }
  });

  it('changes nothing when a statement fails, and tells no password', async () => {
    const before = await roles(to);
    const secret =
      /SCRAM-SHA-256\$[^']+/.exec(dump.toString())?.[0] ?? assert.fail('no password in the dump');
    const wrong = Buffer.from(dump.toString().replace(/(NOBYPASSRLS)( CONNECTION LIMIT 7)/, '$1 NONSENSE$2'));
    assert.notDeepEqual(wrong, dump);
    await assert.rejects(restore('refuse', wrong), (error: Error) => {
      assert.match(
        error.message,
        /psql of the globals failed.*ERROR: .*"nonsense".* \(ALTER ROLE .*PASSWORD '…'/,
      );
      assert.ok(!error.message.includes(secret.slice(20, 60)));
      return true;
    });
    assert.deepEqual(await roles(to), before);
  });

  it('takes no script that is cut off', async () => {
    const before = await roles(to);
    await assert.rejects(restore('refuse', dump.subarray(0, -200)), { code: 'incomplete' });
    assert.deepEqual(await roles(to), before);
  });

  it('says that tablespaces failed when the roles are done', async () => {
    const tablespace = `CREATE TABLESPACE fast OWNER app LOCATION '/nowhere/fast';`;
    const script = dump.toString().replace('\n\\unrestrict ', () => `\n${tablespace}\n\n\\unrestrict `);
    assert.ok(script.includes(tablespace));
    await assert.rejects(restore('refuse', Buffer.from(script)), {
      message:
        /The roles are restored, but the tablespaces are not: .*CREATE TABLESPACE fast OWNER app LOCATION '…'/,
    });
    assert.ok((await roles(to)).has('app'));
  });
});
