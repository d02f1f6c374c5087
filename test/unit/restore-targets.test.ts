import assert from 'node:assert/strict';
import { isStored, type StoredArtifact } from '../../lib/backupset/manifest.ts';
import type { BackupSet } from '../../lib/backupset/reader.ts';
import { chooseArtifact } from '../../lib/restore/choose-artifact.ts';
import { openRestoreTarget, type RestoreServer } from '../../lib/restore/targets.ts';
import { mysqlServer } from '../../lib/sources/mysql/options.ts';
import { postgresServer } from '../../lib/sources/postgres/options.ts';
import { sampleManifest } from '../support/sample-manifest.ts';

const POSTGRES: RestoreServer = { kind: 'postgres', server: postgresServer.parse({ user: 'u' }) };
const MYSQL: RestoreServer = { kind: 'mysql', server: mysqlServer.parse({ user: 'u' }) };
const HOW = { overwrite: 'refuse', safetyCopy: true } as const;

function artifact(source: string, format: string, database = 'shop'): StoredArtifact {
  const stored = sampleManifest().artifacts.find(isStored);
  assert.ok(stored);
  return { ...stored, source, format, database, file: `${database}.${format}`, engineVersion: '15.18' };
}

const SQLITE = artifact('sqlite', 'sqlite3');
const PG = artifact('postgres', 'pg-custom');
const MY = artifact('mysql', 'mysql-sql');

describe('the target of a restore', () => {
  it('is of the engine that was dumped', () => {
    assert.equal(openRestoreTarget(SQLITE, { ...HOW, to: '/tmp/x.sqlite' }).kind, 'sqlite');
    assert.equal(openRestoreTarget(PG, { ...HOW, server: POSTGRES }).kind, 'postgres');
    assert.equal(openRestoreTarget(MY, { ...HOW, server: MYSQL }).kind, 'mysql');
  });

  it('has the name that the database had, unless another one is given', () => {
    assert.match(openRestoreTarget(PG, { ...HOW, to: '', server: POSTGRES }).describe(), /shop/);
    assert.match(openRestoreTarget(MY, { ...HOW, to: 'shop_copy', server: MYSQL }).describe(), /shop_copy/);
  });

  for (const [what, dump, options, reason] of [
    [
      'a server dump without a server',
      PG,
      {},
      /shop is a dump of a PostgreSQL database: say which PostgreSQL server/,
    ],
    [
      'a server of another engine',
      PG,
      { server: MYSQL },
      /a MySQL or MariaDB server cannot take: choose a PostgreSQL/,
    ],
    [
      'the same the other way round',
      MY,
      { server: POSTGRES },
      /a PostgreSQL server cannot take: choose a MySQL/,
    ],
    ['SQLite without a file', SQLITE, {}, /say which file/],
    ['SQLite into a server', SQLITE, { to: '/tmp/x', server: POSTGRES }, /leave the PostgreSQL server out/],
    ['parts of SQLite', SQLITE, { to: '/tmp/x', content: 'schema' }, /restored as a whole/],
    ['tables of SQLite', SQLITE, { to: '/tmp/x', tables: ['a'] }, /restored as a whole/],
    ['an engine that is not known', artifact('oracle', 'x'), {}, /update @dbackup\/node-red/],
  ] as const) {
    it(`is refused for ${what}`, () => {
      assert.throws(() => openRestoreTarget(dump, { ...HOW, ...options }), {
        code: 'invalid-config',
        message: reason,
      });
    });
  }
});

describe('the database of a set that is meant', () => {
  const setOf = (...artifacts: BackupSet['manifest']['artifacts']) =>
    ({ path: 'shop/x', manifest: { ...sampleManifest(), artifacts } }) as unknown as BackupSet;
  const ROLES = artifact('postgres', 'pg-globals', 'globals');
  const USERS = artifact('mysql', 'mysql-users', 'users');
  const FAILED = sampleManifest().artifacts.filter((candidate) => !isStored(candidate));

  it('is the only one, whatever belongs to the whole server beside it', () => {
    assert.equal(chooseArtifact(setOf(PG, ROLES), undefined), PG);
    assert.equal(chooseArtifact(setOf(USERS, MY), undefined), MY);
  });

  it('is what was named, roles and users too', () => {
    assert.equal(chooseArtifact(setOf(PG, ROLES), 'globals'), ROLES);
  });

  it('must be named among several', () => {
    const two = setOf(PG, artifact('postgres', 'pg-custom', 'crm'), ROLES);
    assert.throws(() => chooseArtifact(two, undefined), /holds shop, crm, globals: say which database/);
  });

  it('is never the roles because the database itself failed', () => {
    assert.throws(() => chooseArtifact(setOf(ROLES, ...FAILED), undefined), /The dump of logs failed/);
  });
});
