import assert from 'node:assert/strict';
import fc from 'fast-check';
import { BackupError } from '../../lib/errors.ts';
import { silenceOf, toolWarnings } from '../../lib/sources/postgres/dump.ts';
import { postgresFailure, toolFailure } from '../../lib/sources/postgres/failures.ts';
import { conninfo, libpqEnvironment } from '../../lib/sources/postgres/libpq.ts';
import { postgresServer } from '../../lib/sources/postgres/options.ts';
import { createPostgresSource } from '../../lib/sources/postgres/postgres-source.ts';
import { ScriptReader } from '../../lib/sources/postgres/script-reader.ts';
import type { Reached } from '../../lib/sources/server/reach.ts';

const server = postgresServer.parse({ user: 'backup', password: 'secret', caFile: '/ca.pem' });

function reachedAt(host: string, serverName: string): Reached {
  return { host, port: 6000, serverName, signal: new AbortController().signal, close: async () => undefined };
}

describe('what libpq is told', () => {
  it('quotes every name of a database so that it is read as it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (name) => {
        const quoted = /^dbname='((?:[^'\\]|\\['\\])*)'$/s.exec(conninfo(name))?.[1];
        assert.equal(quoted?.replace(/\\(.)/gs, '$1'), name);
      }),
    );
  });

  it('names the server, and the end of the tunnel that leads to it', async () => {
    const direct = await libpqEnvironment(reachedAt('db.example', 'db.example'), server);
    assert.deepEqual([direct.PGHOST, direct.PGHOSTADDR, direct.PGPORT], ['db.example', undefined, '6000']);
    const tunnel = await libpqEnvironment(reachedAt('127.0.0.1', 'db.example'), server);
    assert.deepEqual([tunnel.PGHOST, tunnel.PGHOSTADDR], ['db.example', '127.0.0.1']);
  });

  it('says the TLS mode, and hides the files of the user of this machine', async () => {
    const modes = ['off', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
    const told = await Promise.all(
      modes.map(async (tls) => {
        const env = await libpqEnvironment(reachedAt('db', 'db'), { ...server, tls });
        return `${env.PGSSLMODE} ${env.PGSSLROOTCERT} ${env.PGSSLCERT}`;
      }),
    );
    const none = '/nonexistent/dbackup';
    assert.deepEqual(told, [
      `disable ${none} ${none}`,
      `prefer ${none} ${none}`,
      `verify-ca /ca.pem ${none}`,
      `verify-ca /ca.pem ${none}`,
      `verify-full /ca.pem ${none}`,
    ]);
  });

  it('gives settings for the session, whatever is in them', async () => {
    const options = { lock_timeout: '5s', application_name: 'a b\\c' };
    const env = await libpqEnvironment(reachedAt('db', 'db'), server, options);
    assert.equal(env.PGOPTIONS, '-c lock_timeout=5s -c application_name=a\\ b\\\\c');
  });
});

describe('what a PostgreSQL source is called', () => {
  it('names the server, and where it is reached from', () => {
    const driver = createPostgresSource({ ...server, concurrency: 3 }, {});
    assert.equal(driver.describe(), 'PostgreSQL server 127.0.0.1:5432');
    assert.deepEqual(driver.lane, { key: 'postgres://127.0.0.1:5432', limit: 3 });
    const socket = createPostgresSource({ ...server, host: '/run/postgresql' }, {});
    assert.equal(socket.describe(), 'PostgreSQL server /run/postgresql/.s.PGSQL.5432');
  });

  it('refuses wrong options', () => {
    assert.throws(() => createPostgresSource(server, { databases: [] }), { code: 'invalid-config' });
    assert.throws(() => createPostgresSource(server, { lockTimeout: -1 }), { code: 'invalid-config' });
  });
});

describe('what went wrong with PostgreSQL', () => {
  const said = (message: string, code?: string) =>
    postgresFailure(Object.assign(new Error(message), code === undefined ? {} : { code }), 'server');

  it('is told by the SQLSTATE, the system or the words', () => {
    const cases: [string, string | undefined, string][] = [
      ['x', '28P01', 'permission false'],
      ['x', '3D000', 'not-found false'],
      ['x', '42501', 'permission false'],
      ['x', '53100', 'no-space false'],
      ['x', '53300', 'unavailable true'],
      ['x', '57P03', 'unavailable true'],
      ['x', '57014', 'stalled true'],
      ['x', '40P01', 'unavailable true'],
      ['x', 'EPIPE', 'unavailable true'],
      ['x', 'ECONNREFUSED', 'unavailable true'],
      ['x', 'CERT_HAS_EXPIRED', 'permission false'],
      ['timeout expired', undefined, 'unavailable true'],
      ['something else', undefined, 'unavailable false'],
    ];
    for (const [message, code, expected] of cases) {
      const { code: found, transient } = said(message, code);
      assert.equal(`${found} ${transient}`, expected, `${code} ${message}`);
    }
  });

  it('is told of several addresses in one message', () => {
    const error = new AggregateError([
      new Error('refused 1'),
      new Error('refused 2'),
      new Error('refused 1'),
    ]);
    assert.equal(postgresFailure(error, 'server').message, 'server: refused 1, refused 2');
  });

  it('is told by what a tool says, and stays what it is when nothing is known of it', () => {
    const failed = (text: string) => toolFailure(new BackupError('incomplete', `pg_dump failed: ${text}`));
    assert.equal(failed('ERROR:  permission denied for table t').code, 'permission');
    assert.equal(failed('server closed the connection unexpectedly').transient, true);
    assert.match(
      failed('canceling statement due to statement timeout / detail: Query was: LOCK TABLE public.t').message,
      /raise the lock timeout/,
    );
    assert.equal(failed('canceling statement due to user request').code, 'stalled');
    assert.equal(failed('out of luck').code, 'incomplete');
  });

  it('blames the server for what it lacks to take a dump, not the dump', () => {
    for (const text of [
      'ERROR:  could not access file "$libdir/postgis-3": No such file or directory',
      'ERROR:  could not load library "/usr/lib/x.so": undefined symbol',
      'could not set default_tablespace to fast: ERROR:  tablespace "fast" does not exist',
      'ERROR:  invalid value for parameter "default_tablespace": "fast"',
      'ERROR:  unrecognized configuration parameter "transaction_timeout"',
      'ERROR:  out of shared memory',
    ]) {
      assert.equal(toolFailure(new BackupError('incomplete', text)).code, 'unavailable', text);
    }
  });
});

describe('the silence of pg_dump', () => {
  const HOUR = 60 * 60_000;

  it('may last as long as it may wait for a lock, and an hour', () => {
    assert.equal(silenceOf({ format: 'custom', lockTimeout: 60 }), HOUR + 60_000);
    assert.equal(silenceOf({ format: 'plain', lockTimeout: 86_400 }), 25 * HOUR);
    assert.equal(silenceOf({ format: 'custom', lockTimeout: 0 }), Number.POSITIVE_INFINITY);
  });

  it('may last while it reads a large table for a tar archive', () => {
    assert.ok(silenceOf({ format: 'tar', lockTimeout: 60 }) > 7 * 24 * HOUR);
  });
});

describe('what pg_dump warns of', () => {
  it('is one warning with its details and hints', () => {
    const lines = [
      'pg_dump: warning: there are circular foreign-key constraints on these tables:',
      'pg_dump: detail: a',
      'pg_dump: hint: You might not be able to restore',
      'pg_dump: warning: another',
    ];
    assert.deepEqual(toolWarnings(lines), [
      'pg_dump: warning: there are circular foreign-key constraints on these tables: (a) (You might not be able to restore)',
      'pg_dump: warning: another',
    ]);
    assert.deepEqual(toolWarnings([]), []);
    assert.deepEqual(toolWarnings(['pg_dump: hint: alone']), ['pg_dump: hint: alone']);
  });
});

describe('the end of a script', () => {
  const COMPLETE = '--\n-- PostgreSQL database dump complete\n--\n\n';
  const body = '-- PostgreSQL database dump\n\nSELECT 1;\n\n';

  function isComplete(text: string): boolean {
    const reader = new ScriptReader('database');
    reader.take(Buffer.from(text));
    try {
      return reader.end() === Buffer.byteLength(text);
    } catch (error) {
      assert.ok(error instanceof BackupError && error.code === 'incomplete');
      return false;
    }
  }

  it('is the comment that says so, with the closing token before or behind it', () => {
    assert.ok(isComplete(`${body}${COMPLETE}`));
    assert.ok(isComplete(`\\restrict abc\n${body}${COMPLETE}\\unrestrict abc\n\n`));
    assert.ok(isComplete(`\\restrict abc\n${body}\\unrestrict abc\n\n${COMPLETE}`));
  });

  it('is not a comment in the middle, nor one that is cut off, nor another token', () => {
    assert.ok(!isComplete(body));
    assert.ok(!isComplete(''));
    assert.ok(!isComplete(`${body}${COMPLETE}SELECT 2;\n`));
    assert.ok(!isComplete(`${body}${COMPLETE}-- more\n`));
    assert.ok(!isComplete(`\\restrict abc\n${body}${COMPLETE}`));
    assert.ok(!isComplete(`\\restrict abc\n${body}${COMPLETE}\\unrestrict abd\n\n`));
    assert.ok(!isComplete(`${body}-- PostgreSQL database dump complete\n`));
    assert.ok(!isComplete(`${body}--\n-- PostgreSQL database cluster dump complete\n--\n`));
  });
});
