import assert from 'node:assert/strict';
import { chmod, mkdtemp, open, readdir, readFile, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createFtpDestination } from '../../lib/destinations/ftp/ftp.ts';
import { openStorage } from '../../lib/destinations/open.ts';
import { BackupError } from '../../lib/errors.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { makeFolder } from '../conformance/ftp/storage.ts';
import { FtpProxy } from '../servers/ftp-proxy.ts';
import { TestProftpd } from '../servers/proftpd.ts';
import { collect, cut, noise } from '../support/byte-streams.ts';

const GIB = 1024 ** 3;

describe('ftp destination on a server', () => {
  let server: TestProftpd;

  before(async () => {
    server = await TestProftpd.start({ security: 'plain' });
  });

  after(async () => await server.stop());

  const list = async (root: string) => {
    const paths: string[] = [];
    for await (const { path } of createFtpDestination({ ...server.settings, root }).list('', never))
      paths.push(path);
    return paths.sort();
  };

  it('creates its folder when asked to, and is empty before', async () => {
    const root = 'made/for it';
    const driver = createFtpDestination({ ...server.settings, root, create: true });
    for await (const { path } of driver.list('', never)) assert.fail(`listed ${path}`);
    assert.equal(await driver.stat('a', never), undefined);
    await driver.remove('a', never);
    assert.deepEqual(await driver.sweep(new Date(), never), []);
    assert.ok(!(await readdir(server.home)).includes('made'), 'reading makes nothing');
    const pending = await driver.write('job/a', cut(Buffer.from('content'), 3), { signal: never });
    await pending.commit();
    assert.equal(await readFile(join(server.home, root, 'job/a'), 'utf8'), 'content');
    assert.deepEqual(await list(join(server.home, root)), ['job/a'], 'the same by its absolute path');
  });

  it('reads only what is asked for, also beyond 4 GiB', async () => {
    await makeFolder(server, join(server.home, 'large'));
    const file = await open(join(server.home, 'large/object'), 'w');
    const end = 5 * GIB;
    await file.write(Buffer.from('the very end'), 0, 12, end - 12);
    await file.write(Buffer.from('in the middle'), 0, 13, 3 * GIB);
    await file.close();
    const proxy = await FtpProxy.start(server.port);
    try {
      const driver = createFtpDestination({ ...server.settings, port: proxy.port, root: 'large' });
      const read = async (range: { start: number; end?: number }) =>
        (await collect(await driver.read('object', { signal: never, range }))).toString();
      assert.equal((await driver.stat('object', never))?.bytes, end);
      assert.equal(await read({ start: end - 12 }), 'the very end');
      assert.equal(await read({ start: 3 * GIB + 3, end: 3 * GIB + 6 }), 'the');
      assert.deepEqual(
        proxy.commands.filter((command) => ['REST', 'RANG'].includes(command)),
        ['REST', 'RANG'],
      );
    } finally {
      await proxy.close();
    }
  });

  it('replaces also where the server does not overwrite', async () => {
    const strict = await TestProftpd.start({ security: 'plain', config: ['AllowOverwrite off'] });
    try {
      const driver = createFtpDestination(strict.settings);
      for (const text of ['old', 'new']) {
        const pending = await driver.write('a', cut(Buffer.from(text), 9), { signal: never, replace: true });
        await pending.commit();
      }
      assert.equal((await collect(await driver.read('a', { signal: never }))).toString(), 'new');
      assert.deepEqual(await readdir(strict.home), ['a']);
    } finally {
      await strict.stop();
    }
  });

  it('takes no folder that it may not read for an empty one', async () => {
    await makeFolder(server, join(server.home, 'partly/job'));
    await makeFolder(server, join(server.home, 'partly/locked'));
    await writeFile(join(server.home, 'partly/job/a'), 'a');
    await chmod(join(server.home, 'partly/locked'), 0);
    await rejectsWith(list('partly'), 'permission');
  });

  it('refuses links, which may lead anywhere', async () => {
    await makeFolder(server, join(server.home, 'links'));
    await symlink('/etc', join(server.home, 'links/etc'));
    const error = await rejectsWith(list('links'), 'invalid-config', 'permission');
    assert.match(error.message, /etc/);
    await unlink(join(server.home, 'links/etc'));
    assert.deepEqual(await list('links'), []);
  });

  it('does not show its password to anybody', async () => {
    const { password = '' } = server.settings;
    const driver = createFtpDestination({ ...server.settings, user: 'nobody-here' });
    assert.ok(!driver.describe().includes(password));
    const error = await rejectsWith(driver.probe(never), 'permission');
    assert.ok(!`${error.message}${String(error.cause)}`.includes(password));
  });

  it('refuses settings by which a command could be smuggled in', () => {
    for (const change of [
      { user: 'a\r\nDELE b' },
      { password: 'a\nb' },
      { root: 'a\r\nDELE b' },
      { host: ' ' },
    ]) {
      assert.throws(
        () => createFtpDestination({ ...server.settings, ...change }),
        (error) => error instanceof BackupError && error.code === 'invalid-config',
      );
    }
  });

  describe('over TLS', () => {
    it('speaks implicit TLS', async () => {
      const implicit = await TestProftpd.start({ security: 'implicit-tls' });
      try {
        await createFtpDestination(implicit.settings).probe(never);
      } finally {
        await implicit.stop();
      }
    });

    it('leaves the check of the certificate out only when told to', async () => {
      const secure = await TestProftpd.start();
      try {
        await rejectsWith(
          createFtpDestination({ ...secure.settings, caFile: '' }).probe(never),
          'permission',
        );
        const careless = { ...secure.settings, caFile: '', verifyCertificate: false };
        await createFtpDestination(careless).probe(never);
      } finally {
        await secure.stop();
      }
    });
  });

  describe('by URL', () => {
    const variables = ['DBACKUP_FTP_PASSWORD', 'DBACKUP_FTP_PASSWORD_FILE', 'DBACKUP_FTP_CA_FILE'];
    let saved: (string | undefined)[];

    beforeEach(() => {
      saved = variables.map((name) => process.env[name]);
      for (const name of variables) delete process.env[name];
    });

    afterEach(() => {
      for (const [index, name] of variables.entries()) {
        const value = saved[index];
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    });

    it('takes the password from the environment or a file', async () => {
      const { user, port, password = '' } = server.settings;
      const url = `ftp://${user}@127.0.0.1:${port}`;
      await rejectsWith(openStorage(url).probe(never), 'permission');
      process.env.DBACKUP_FTP_PASSWORD = password;
      await openStorage(url).probe(never);
      delete process.env.DBACKUP_FTP_PASSWORD;
      const folder = await mkdtemp(join(tmpdir(), 'dbackup-ftp-'));
      try {
        await writeFile(join(folder, 'password'), `${password}\n`);
        process.env.DBACKUP_FTP_PASSWORD_FILE = join(folder, 'password');
        await openStorage(url).probe(never);
      } finally {
        await rm(folder, { recursive: true });
      }
    });

    it('says where it is', () => {
      const cases: [string, string][] = [
        ['ftp://host', 'ftp://host:21'],
        ['ftps://me@host/a%20b', 'ftps://host:21/a b'],
        ['ftps://host:990//srv/backups/', 'ftps://host:990/srv/backups'],
        ['ftps://[::1]:2121/x', 'ftps://[::1]:2121/x'],
      ];
      for (const [url, described] of cases) assert.equal(openStorage(url).describe(), described);
    });

    it('takes no password in the URL', () => {
      for (const url of ['ftps://me:secret@host/', 'ftp://host/?password=secret']) {
        assert.throws(
          () => openStorage(url),
          (error) =>
            error instanceof BackupError &&
            error.code === 'invalid-config' &&
            !error.message.includes('secret'),
        );
      }
    });
  });

  it('can be used from several places at once without mixing anything up', async () => {
    const driver = createFtpDestination({ ...server.settings, root: 'shared', create: true, connections: 2 });
    const contents = Array.from({ length: 6 }, (_, index) => noise(700_000, index + 1));
    await Promise.all(
      contents.map(async (content, index) => {
        const pending = await driver.write(`job/${index}`, cut(content, 30_000), { signal: never });
        await pending.commit();
        assert.ok((await collect(await driver.read(`job/${index}`, { signal: never }))).equals(content));
      }),
    );
  });
});
