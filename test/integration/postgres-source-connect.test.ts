import assert from 'node:assert/strict';
import { chmod, copyFile, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BackupError, type ErrorCode } from '../../lib/errors.ts';
import { connectPostgres, connectThrough } from '../../lib/sources/postgres/connect.ts';
import { conninfo, libpqEnvironment } from '../../lib/sources/postgres/libpq.ts';
import type { PostgresServer } from '../../lib/sources/postgres/options.ts';
import { findPostgresTool } from '../../lib/sources/postgres/tools.ts';
import { reach } from '../../lib/sources/server/reach.ts';
import { runTool } from '../../lib/tool/run-tool.ts';
import { createAuthority } from '../servers/certificates.ts';
import { startPostgres, type TestPostgres } from '../servers/postgres.ts';
import { TestProxy } from '../servers/proxy.ts';
import { until } from '../support/until.ts';

const running = new AbortController().signal;

describe('connecting to PostgreSQL', () => {
  let secure: TestPostgres;
  let open: TestPostgres;
  let folder: string;

  before(async function () {
    this.timeout(180_000);
    folder = await mkdtemp(join(tmpdir(), 'dbackup-postgres-connect-'));
    const access = [
      'hostnossl all nossl 127.0.0.1/32 scram-sha-256',
      'hostssl   all nossl 127.0.0.1/32 reject',
      'hostssl   all postgres 127.0.0.1/32 scram-sha-256',
      'host      all postgres 127.0.0.1/32 reject',
    ];
    [secure, open] = await Promise.all([startPostgres({ tls: true, access }), startPostgres()]);
    await secure.query(`CREATE ROLE nossl LOGIN PASSWORD 'plain'`);
  });

  after(async () => {
    await Promise.all([secure?.stop(), open?.stop()]);
    await rm(folder, { recursive: true, force: true });
  });

  /** Whether TLS was used, as the library and as a tool of PostgreSQL connect: always the same. */
  async function usesTls(server: PostgresServer): Promise<boolean> {
    const session = await connectPostgres(server, 'postgres', running);
    try {
      const sql = 'SELECT ssl FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()';
      const [row] = await session.query<{ ssl: boolean }>(sql);
      assert.equal(await answerOfTool(server, sql), row?.ssl === true ? 't' : 'f');
      return row?.ssl === true;
    } finally {
      await session.close();
    }
  }

  async function refuses(
    server: PostgresServer,
    code: ErrorCode,
    text: RegExp,
    transient = false,
  ): Promise<void> {
    await assert.rejects(connectPostgres(server, 'postgres', running), (error) => {
      assert.ok(error instanceof BackupError);
      assert.equal(`${error.code} ${error.transient}`, `${code} ${transient}`, error.message);
      assert.match(error.message, text);
      assert.ok(!error.message.includes(server.password ?? 'none'), 'the password is in the message');
      return true;
    });
  }

  it('signs in over TCP and over a Unix socket', async () => {
    assert.equal(await usesTls(open.settings), false);
    assert.equal(await usesTls({ ...open.settings, host: open.socketFolder }), false);
  });

  it('tells the version of the server', async () => {
    const session = await connectPostgres(open.settings, 'postgres', running);
    assert.match(session.version, /^15\.\d+$/);
    assert.equal(session.major, 15);
    await session.close();
  });

  it('uses TLS as the mode says, and the tools do the same', async () => {
    const { settings } = secure;
    assert.equal(await usesTls({ ...settings, tls: 'prefer', caFile: '' }), true);
    assert.equal(await usesTls({ ...settings, tls: 'require', caFile: '' }), true);
    assert.equal(await usesTls({ ...settings, tls: 'verify-ca' }), true);
    assert.equal(await usesTls({ ...settings, tls: 'verify-full' }), true);
    assert.equal(await usesTls({ ...settings, tls: 'verify-full', host: 'localhost' }), true);
    assert.equal(await usesTls({ ...open.settings, tls: 'prefer' }), false);
    assert.equal(await usesTls({ ...open.settings, tls: 'off' }), false);
    assert.equal(await usesTls({ ...settings, tls: 'verify-full', host: secure.socketFolder }), false);
  });

  it('falls back from TLS only where it is preferred', async () => {
    const nossl = { ...secure.settings, user: 'nossl', password: 'plain' };
    assert.equal(await usesTls({ ...nossl, tls: 'prefer' }), false);
    await refuses({ ...nossl, tls: 'require' }, 'permission', /pg_hba\.conf/);
    await refuses(
      { ...open.settings, tls: 'require' },
      'unavailable',
      /does not support SSL.*lower the TLS mode/,
    );
    await refuses({ ...secure.settings, tls: 'off' }, 'permission', /pg_hba\.conf/);
  });

  it('trusts no certificate but that of the authority', async () => {
    const { caFile } = await createAuthority(folder, 'other');
    const { settings } = secure;
    await refuses({ ...settings, caFile }, 'permission', /CA file/);
    await refuses({ ...settings, tls: 'verify-ca', caFile }, 'permission', /CA file/);
    await refuses({ ...settings, caFile: '' }, 'permission', /CA file/);
    await refuses({ ...settings, tls: 'require', caFile }, 'permission', /CA file/);
    await refuses({ ...settings, caFile: join(folder, 'none') }, 'invalid-config', /cannot be read/);
  });

  it('compares the name in the certificate with that of the server, not with the way to it', async () => {
    const server = { ...secure.settings, host: 'db.example' };
    const reached = { ...(await reach(secure.settings, running)), serverName: 'db.example' };
    const env = await libpqEnvironment(reached, server);
    assert.equal(env.PGHOST, 'db.example');
    assert.equal(env.PGHOSTADDR, '127.0.0.1');
    await assert.rejects(
      askTool(env, 'SELECT 1'),
      /server certificate for "localhost".*does not match host name/,
    );
    assert.equal(await askTool({ ...env, PGSSLMODE: 'verify-ca' }, 'SELECT 1'), '1');
    await assert.rejects(connectThrough(reached, server, 'postgres'), {
      code: 'permission',
      message: /altnames.*the name that it bears/,
    });
    const session = await connectThrough(reached, { ...server, tls: 'verify-ca' }, 'postgres');
    await session.close();
  });

  it('shows a client certificate', async () => {
    const client = secure.tls?.client ?? assert.fail('no TLS');
    const server = { ...secure.settings, ...client };
    assert.equal(await usesTls(server), true);
    const sql = 'SELECT client_dn FROM pg_catalog.pg_stat_ssl WHERE pid = pg_catalog.pg_backend_pid()';
    assert.equal(await answerOfTool(server, sql), '/CN=postgres');
  });

  it('passes on what libpq says of a key that others can read', async () => {
    const client = secure.tls?.client ?? assert.fail('no TLS');
    const keyFile = join(folder, 'open.key');
    await copyFile(client.keyFile, keyFile);
    await chmod(keyFile, 0o644);
    const server = { ...secure.settings, ...client, keyFile };
    await assert.rejects(
      answerOfTool(server, 'SELECT 1'),
      /private key file ".*open\.key" has group or world access/,
    );
  });

  it('wants a key for a certificate', async () => {
    await refuses({ ...secure.settings, certFile: '/a.crt' }, 'invalid-config', /set both files or none/);
  });

  it('says what is wrong', async () => {
    const { settings } = open;
    await refuses(
      { ...settings, password: 'wrong' },
      'permission',
      /password authentication failed.*check user/,
    );
    await refuses({ ...settings, password: undefined }, 'permission', /check user and password/);
    await refuses({ ...settings, user: 'nobody' }, 'permission', /check user and password/);
    await refuses({ ...settings, port: 1 }, 'unavailable', /ECONNREFUSED.*check host and port/, true);
    const unknown = connectPostgres({ ...settings, host: 'no.invalid' }, 'postgres', running);
    await assert.rejects(unknown, { code: 'unavailable', message: /no\.invalid/ });
    await refuses({ ...settings, host: folder }, 'unavailable', /Unix socket/, true);
    await assert.rejects(connectPostgres(settings, 'no such', running), {
      code: 'not-found',
      message: /database "no such" does not exist/,
    });
  });

  it('calls a server that is full, or does not let anybody in, unavailable for now', async () => {
    await open.query('CREATE DATABASE closed ALLOW_CONNECTIONS false');
    await assert.rejects(connectPostgres(open.settings, 'closed', running), {
      code: 'unavailable',
      message: /not currently accepting connections/,
    });
    await open.query('CREATE DATABASE narrow CONNECTION LIMIT 0');
    await open.query(`CREATE ROLE guest LOGIN PASSWORD 'guest'`);
    const guest = { ...open.settings, user: 'guest', password: 'guest' };
    await assert.rejects(connectPostgres(guest, 'narrow', running), { code: 'unavailable', transient: true });
  });

  it('gives up on a server that says nothing', async () => {
    const proxy = await TestProxy.start(open.settings);
    try {
      proxy.accepts = 'silence';
      const server = { ...open.settings, port: proxy.port, connectTimeout: 1 };
      await refuses(server, 'unavailable', /timeout expired/, true);
      await until(() => proxy.connections === 0);
    } finally {
      await proxy.close();
    }
  });

  it('stops connecting, and waiting for an answer, when it is aborted', async () => {
    const proxy = await TestProxy.start(open.settings);
    try {
      const server = { ...open.settings, port: proxy.port };
      const reason = new BackupError('stalled', 'Enough');
      for (const accepts of ['silence', 'pass'] as const) {
        proxy.accepts = accepts;
        const abort = new AbortController();
        const working = connectPostgres(server, 'postgres', abort.signal).then((session) =>
          session.query('SELECT pg_sleep(600)').finally(() => session.close()),
        );
        working.catch(() => undefined);
        await until(() => proxy.connections > 0);
        if (accepts === 'pass') await until(async () => (await sleeping(open)) === 1);
        abort.abort(reason);
        await assert.rejects(working, (error) => error === reason);
        await until(() => proxy.connections === 0);
      }
    } finally {
      await proxy.close();
    }
  });

  it('has no limits that a database has for its users', async () => {
    await open.query('CREATE DATABASE limited');
    for (const limit of ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']) {
      await open.query(`ALTER DATABASE limited SET ${limit} = 1000`);
    }
    const session = await connectPostgres(open.settings, 'limited', running);
    try {
      await session.query('SELECT pg_sleep(1.5)');
      const [row] = await session.query<{ idle: string; lock: string }>(
        `SELECT current_setting('idle_in_transaction_session_timeout') AS idle, current_setting('lock_timeout') AS lock`,
      );
      assert.deepEqual(row, { idle: '0', lock: '0' });
    } finally {
      await session.close();
      await open.query('DROP DATABASE limited');
    }
  });

  it('says that the connection is lost', async () => {
    const proxy = await TestProxy.start(open.settings);
    try {
      const server = { ...open.settings, port: proxy.port };
      for (const how of ['cut', 'reset'] as const) {
        const session = await connectPostgres(server, 'postgres', running);
        const answer = session.query('SELECT pg_sleep(600)');
        answer.catch(() => undefined);
        await until(() => proxy.connections > 0);
        proxy[how]();
        await assert.rejects(answer, { code: 'unavailable', transient: true });
        await assert.rejects(session.query('SELECT 1'), { code: 'unavailable', transient: true });
        await session.close();
      }
    } finally {
      await proxy.close();
    }
  });

  it('is not led astray by the environment of this process', async () => {
    const astray = { PGHOST: 'no.invalid', PGSSLMODE: 'require', PGPASSWORD: 'x', PGUSER: 'y' };
    try {
      Object.assign(process.env, astray);
      assert.equal(await usesTls({ ...open.settings, tls: 'off' }), false);
    } finally {
      for (const name of Object.keys(astray)) delete process.env[name];
    }
  });

  async function answerOfTool(server: PostgresServer, sql: string): Promise<string> {
    const reached = await reach(server, running);
    return await askTool(await libpqEnvironment(reached, server, { statement_timeout: '60s' }), sql);
  }
});

async function askTool(env: Record<string, string>, sql: string): Promise<string> {
  const { path } = await findPostgresTool('psql', { folder: '', atLeast: 15 }, running);
  const args = ['-X', '-A', '-t', '-c', sql, `--dbname=${conninfo('postgres')}`];
  const { stdout } = await runTool({ program: path, args, env, subject: 'psql' }, running);
  return stdout.trim();
}

async function sleeping(server: TestPostgres): Promise<number> {
  const [row] = await server.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'`,
  );
  return row?.count ?? 0;
}
