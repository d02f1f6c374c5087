import assert from 'node:assert/strict';
import { isServerUrl, parseServerUrl } from '../../runner/server-url.ts';

describe('the URL of a database server', () => {
  it('names engine, host, port and user', () => {
    const { kind, server } = parseServerUrl('postgresql://backup@db.example.com:5433/');
    assert.equal(kind, 'postgres');
    const { host, port, user, tls } = server;
    assert.deepEqual(
      { host, port, user, tls },
      { host: 'db.example.com', port: 5433, user: 'backup', tls: 'prefer' },
    );
  });

  it('has the usual port of each engine', () => {
    for (const [url, kind, port] of [
      ['postgres://u@h', 'postgres', 5432],
      ['mysql://u@h/', 'mysql', 3306],
      ['mariadb://u@h', 'mysql', 3306],
    ] as const) {
      const address = parseServerUrl(url);
      assert.deepEqual([address.kind, address.server.port], [kind, port]);
    }
  });

  it('takes addresses of version 6, escaped users and the path of a socket', () => {
    assert.equal(parseServerUrl('mysql://u@[::1]:3307').server.host, '::1');
    assert.equal(parseServerUrl('postgresql://o%27b%40x@h').server.user, "o'b@x");
    const { host, user } = parseServerUrl('postgresql:///?host=/var/run/postgresql&user=me').server;
    assert.deepEqual([host, user], ['/var/run/postgresql', 'me']);
  });

  it('takes parameters by the names that libpq has', () => {
    const url =
      'mysql://u@h/?sslmode=verify-ca&sslrootcert=/ca.pem&sslcert=/c.pem&sslkey=/k.pem&connect_timeout=5&tools=/opt';
    const { tls, caFile, certFile, keyFile, connectTimeout, toolsFolder } = parseServerUrl(url).server;
    assert.deepEqual(
      { tls, caFile, certFile, keyFile, connectTimeout, toolsFolder },
      {
        tls: 'verify-ca',
        caFile: '/ca.pem',
        certFile: '/c.pem',
        keyFile: '/k.pem',
        connectTimeout: 5,
        toolsFolder: '/opt',
      },
    );
    assert.equal(parseServerUrl('mysql://u@h/?sslmode=disable').server.tls, 'off');
  });

  for (const [what, url, reason] of [
    ['a password', 'postgresql://u:hunter2@h/', /holds a password.*DBACKUP_SERVER_PASSWORD/],
    ['a password as parameter', 'postgresql://u@h/?password=hunter2', /holds a password/],
    ['a database', 'postgresql://u@h/shop', /names a database.*--to/],
    ['an unknown parameter', 'postgresql://u@h/?sslmod=require', /sslmod is not known/],
    ['a wrong mode', 'postgresql://u@h/?sslmode=allow', /tls/],
    ['a wrong port', 'mysql://u@h/?port=x', /port/],
    ['no user', 'mysql://h/', /user/],
    ['a broken escape', 'mysql://u%zz@h/', /hexadecimal|valid URL/],
    ['nothing else', 'postgresql://', /user|valid URL/],
  ] as const) {
    it(`is refused with ${what}, without repeating it`, () => {
      assert.throws(
        () => parseServerUrl(url),
        (error: Error & { code?: string }) =>
          error.code === 'invalid-config' && reason.test(error.message) && !error.message.includes('hunter2'),
      );
    });
  }

  it('is told from the name of a node', () => {
    assert.equal(isServerUrl('MySQL://u@h'), true);
    for (const name of ['Shop server', 'file:///backups', 'postgresql', 'constructor://x']) {
      assert.equal(isServerUrl(name), false, name);
    }
  });
});
