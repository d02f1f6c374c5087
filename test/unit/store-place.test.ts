import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describePlace, type StoreChoice, storePlace } from '../../lib/store/place.ts';

describe('where the store is', () => {
  const postgres = (env: Record<string, string>, choice?: StoreChoice) => {
    const place = storePlace('/data', env, choice);
    assert.ok(place.kind === 'postgresql');
    return place;
  };

  it('is SQLite in the data directory, unless something else is said', () => {
    assert.deepEqual(storePlace('/data', {}), { kind: 'sqlite', dataDir: '/data' });
    assert.deepEqual(storePlace('/data', { DBACKUP_STORE: ' ' }), { kind: 'sqlite', dataDir: '/data' });
  });

  it('is PostgreSQL by a URL with a database, and a password from elsewhere', () => {
    const url = 'postgresql://o%27b@db.example.com:5433/my%20store?sslmode=verify-full&sslrootcert=/ca.pem';
    const place = postgres({ DBACKUP_STORE: url, DBACKUP_STORE_PASSWORD: 'hunter2', PGPASSWORD: 'other' });
    const { host, port, user, password, tls, caFile } = place.server;
    assert.deepEqual(
      { host, port, user, password, tls, caFile, database: place.database },
      {
        host: 'db.example.com',
        port: 5433,
        user: "o'b",
        password: 'hunter2',
        tls: 'verify-full',
        caFile: '/ca.pem',
        database: 'my store',
      },
    );
    assert.equal(describePlace(place), "postgresql://o'b@db.example.com:5433/my%20store");
    const socket = postgres({ DBACKUP_STORE: 'postgres:///db?host=/run/pg&user=me', PGPASSWORD: 'pg' });
    assert.deepEqual([socket.server.host, socket.server.password], ['/run/pg', 'pg']);
  });

  it('is said by an option, else the environment, else settings.js', () => {
    const of = (name: string) => `postgresql://u@h/${name}`;
    const choice = { option: of('option'), setting: of('setting') };
    const env = { DBACKUP_STORE: of('environment') };
    assert.equal(postgres(env, choice).database, 'option');
    assert.equal(postgres(env, { setting: choice.setting }).database, 'environment');
    assert.equal(postgres({}, { setting: choice.setting }).database, 'setting');
  });

  it('may be a secret as a whole, in a file, with its password', () => {
    const folder = mkdtempSync(join(tmpdir(), 'dbackup-place-'));
    try {
      const file = join(folder, 'store');
      writeFileSync(file, 'postgresql://u:hunter2@h/db\n');
      const env = { DBACKUP_STORE_FILE: file };
      assert.equal(postgres(env).server.password, 'hunter2');
      assert.throws(() => storePlace('/data', { ...env, DBACKUP_STORE: 'postgresql://u@h/db' }), {
        code: 'invalid-config',
        message: /both set/,
      });
      writeFileSync(file, '\n');
      assert.throws(() => storePlace('/data', env), { code: 'invalid-config', message: /is empty/ });
      rmSync(file);
      assert.throws(() => storePlace('/data', env), { code: 'not-found', message: /cannot be read/ });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });

  for (const [what, url, reason] of [
    ['a password', 'postgresql://u:hunter2@h/db', /holds a password.*DBACKUP_STORE_PASSWORD/],
    ['a password as parameter', 'postgresql://u@h/db?password=hunter2', /holds a password/],
    ['no database', 'postgresql://hunter2@h/', /names no database/],
    ['another scheme', 'mysql://hunter2@h/db', /no URL of PostgreSQL/],
    ['an unknown parameter', 'postgresql://hunter2@h/db?sslmod=require', /sslmod is not known/],
    ['no user', 'postgresql://h/hunter2', /user/],
    ['a broken escape', 'postgresql://u%zz@h/hunter2', /hexadecimal|valid URL/],
  ] as const) {
    it(`is refused with ${what}, without repeating it`, () => {
      assert.throws(
        () => storePlace('/data', { DBACKUP_STORE: url }),
        (error: Error & { code?: string }) =>
          error.code === 'invalid-config' && reason.test(error.message) && !error.message.includes('hunter2'),
      );
    });
  }
});
