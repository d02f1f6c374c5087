import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openStorage } from '../../lib/destinations/open.ts';
import { createWebdavDestination } from '../../lib/destinations/webdav/webdav.ts';
import { BackupError } from '../../lib/errors.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { makeFolder } from '../conformance/webdav/storage.ts';
import { TestApache } from '../servers/apache.ts';
import { collect, cut } from '../support/byte-streams.ts';

const GIB = 1024 ** 3;

describe('webdav destination on a server', () => {
  let server: TestApache;

  before(async () => {
    server = await TestApache.start();
  });

  after(async () => await server.stop());

  const at = (folder: string) => ({ ...server.settings, url: `${server.settings.url}/${folder}` });

  it('creates its folder when asked to, and is empty before', async () => {
    const driver = createWebdavDestination({ ...at('made/for%20it'), create: true });
    for await (const { path } of driver.list('', never)) assert.fail(`listed ${path}`);
    assert.equal(await driver.stat('a', never), undefined);
    await driver.remove('a', never);
    assert.deepEqual(await driver.sweep(new Date(), never), []);
    assert.deepEqual(await readdir(server.root), [], 'reading makes nothing');
    const pending = await driver.write('job/a', cut(Buffer.from('content'), 3), { signal: never });
    await pending.commit();
    assert.equal(await readFile(join(server.root, 'made/for it/job/a'), 'utf8'), 'content');
  });

  it('reads only what is asked for, also beyond 4 GiB', async () => {
    await makeFolder(server, join(server.root, 'large'));
    const file = await open(join(server.root, 'large/object'), 'w');
    const end = 5 * GIB;
    await file.write(Buffer.from('the very end'), 0, 12, end - 12);
    await file.write(Buffer.from('in the middle'), 0, 13, 3 * GIB);
    await file.close();
    const driver = createWebdavDestination(at('large'));
    const read = async (range: { start: number; end?: number }) =>
      (await collect(await driver.read('object', { signal: never, range }))).toString();
    assert.equal((await driver.stat('object', never))?.bytes, end);
    assert.equal(await read({ start: end - 12 }), 'the very end');
    assert.equal(await read({ start: 3 * GIB + 3, end: 3 * GIB + 6 }), 'the');
  });

  it('removes no folder with what is in it', async () => {
    await makeFolder(server, join(server.root, 'kept/job/set'));
    await writeFile(join(server.root, 'kept/job/set/stranger'), 'x');
    const driver = createWebdavDestination(at('kept'));
    await rejectsWith(driver.remove('job', never), 'invalid-config');
    await rejectsWith(driver.remove('job/set', never), 'invalid-config');
    await driver.remove('job/set/other', never);
    assert.deepEqual(await readdir(join(server.root, 'kept/job/set')), ['stranger']);
  });

  it('does not show its password to anybody', async () => {
    const { password = '' } = server.settings;
    const driver = createWebdavDestination({ ...server.settings, user: 'nobody-here' });
    assert.ok(!driver.describe().includes(password));
    const error = await rejectsWith(driver.probe(never), 'permission');
    assert.ok(!`${error.message}${String(error.cause)}`.includes(password));
  });

  it('refuses settings that cannot work', () => {
    for (const change of [
      { url: 'ftp://host/' },
      { url: 'https://me:secret@host/' },
      { url: 'https://host/?a=b' },
      { url: '/dav' },
      { user: '' },
      { auth: 'bearer' as const },
    ]) {
      assert.throws(
        () => createWebdavDestination({ ...server.settings, ...change }),
        (error) =>
          error instanceof BackupError &&
          error.code === 'invalid-config' &&
          !error.message.includes('secret'),
        JSON.stringify(change),
      );
    }
  });

  it('leaves the check of the certificate out only when told to', async () => {
    const secure = await TestApache.start({ tls: true });
    try {
      await rejectsWith(
        createWebdavDestination({ ...secure.settings, caFile: '' }).probe(never),
        'permission',
      );
      await createWebdavDestination({ ...secure.settings, caFile: '', verifyCertificate: false }).probe(
        never,
      );
    } finally {
      await secure.stop();
    }
  });

  describe('answers that are not right', () => {
    const file = (href: string) =>
      `<D:response><D:href>${href}</D:href><D:propstat><D:prop><D:resourcetype/><D:getcontentlength>10</D:getcontentlength><D:getlastmodified>Mon, 12 Jan 1998 09:25:56 GMT</D:getlastmodified></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`;
    const folder = (href: string) =>
      `<D:response><D:href>${href}</D:href><D:propstat><D:prop><D:resourcetype><D:collection/></D:resourcetype></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>`;
    const lists =
      (...responses: string[]): RequestListener =>
      (_, reply) => {
        reply.writeHead(207).end(`<D:multistatus xmlns:D="DAV:">${responses.join('')}</D:multistatus>`);
      };

    const against = async (listener: RequestListener, work: (url: string) => Promise<void>) => {
      const wrong = createServer(listener);
      wrong.listen(0, '127.0.0.1');
      await once(wrong, 'listening');
      try {
        await work(`http://127.0.0.1:${(wrong.address() as AddressInfo).port}/dav`);
      } finally {
        wrong.close();
        wrong.closeAllConnections();
      }
    };

    it('are errors of a list', async () => {
      for (const listener of [
        lists(),
        lists(file('/dav/a')),
        lists(folder('/dav/'), file('/elsewhere/a')),
        lists(folder('/dav/'), file('/dav/a/b')),
        lists(folder('/dav/'), file('/dav/%zz')),
        lists(folder('/dav/'), file('/dav/a').replace('>10<', '><')),
        lists(folder('/dav/'), file('/dav/a').replace(/Mon, .*GMT/, 'yesterday')),
      ]) {
        await against(listener, async (url) => {
          const driver = createWebdavDestination({ url, auth: 'none' });
          const listing = (async () => {
            for await (const { path } of driver.list('', never)) assert.fail(`listed ${path}`);
          })();
          await rejectsWith(listing, 'corrupt', 'invalid-config');
        });
      }
    });

    it('are errors of a range, or taken for the whole', async () => {
      for (const [status, headers, body] of [
        [206, { 'Content-Range': 'bytes 3-5/10' }, '345'],
        [200, {}, '0123456789'],
        [206, { 'Content-Range': 'bytes 2-4/10' }, undefined],
        [206, {}, undefined],
        [206, { 'Content-Range': 'bytes 3-5/11' }, undefined],
        [200, { 'Content-Encoding': 'gzip' }, undefined],
      ] as const) {
        const listener: RequestListener = (request, reply) => {
          if (request.method === 'PROPFIND') lists(file('/dav/a'))(request, reply);
          else reply.writeHead(status, headers).end(body ?? 'abc');
        };
        await against(listener, async (url) => {
          const driver = createWebdavDestination({ url, auth: 'none' });
          const reading = async () =>
            collect(await driver.read('a', { signal: never, range: { start: 3, end: 6 } }));
          if (body === undefined) await rejectsWith(reading(), 'corrupt');
          else assert.equal((await reading()).toString(), '345');
        });
      }
    });

    it('are errors when a bearer token is refused', async () => {
      const seen: (string | undefined)[] = [];
      const listener: RequestListener = (request, reply) => {
        seen.push(request.headers.authorization);
        reply.writeHead(401).end();
      };
      await against(listener, async (url) => {
        const driver = createWebdavDestination({ url, auth: 'bearer', token: 'the-token' });
        const error = await rejectsWith(driver.stat('a', never), 'permission');
        assert.ok(!error.message.includes('the-token'));
        assert.deepEqual(seen, ['Bearer the-token']);
      });
    });
  });

  describe('by URL', () => {
    const variables = ['DBACKUP_WEBDAV_PASSWORD', 'DBACKUP_WEBDAV_TOKEN', 'DBACKUP_WEBDAV_CA_FILE'].flatMap(
      (name) => [name, `${name}_FILE`],
    );
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
      const { user, password = '' } = server.settings;
      const url = `webdav://${user}@127.0.0.1:${server.port}/dav`;
      await rejectsWith(openStorage(url).probe(never), 'permission');
      process.env.DBACKUP_WEBDAV_PASSWORD = password;
      await openStorage(url).probe(never);
      delete process.env.DBACKUP_WEBDAV_PASSWORD;
      const home = await mkdtemp(join(tmpdir(), 'dbackup-webdav-'));
      try {
        await writeFile(join(home, 'password'), `${password}\n`);
        process.env.DBACKUP_WEBDAV_PASSWORD_FILE = join(home, 'password');
        await openStorage(url).probe(never);
      } finally {
        await rm(home, { recursive: true });
      }
    });

    it('says where it is, and takes no password', () => {
      assert.equal(openStorage('webdavs://me@host/a%20b/').describe(), 'https://host/a%20b');
      assert.equal(openStorage('webdav://host:8080/x').describe(), 'http://host:8080/x');
      assert.throws(
        () => openStorage('webdavs://me:secret@host/'),
        (error) => error instanceof BackupError && !error.message.includes('secret'),
      );
    });
  });
});
