import assert from 'node:assert/strict';
import { chown, mkdir, readdir, rm, stat } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { createWebdavDestination } from '../../lib/destinations/webdav/webdav.ts';
import { BackupError } from '../../lib/errors.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { TestApache } from '../servers/apache.ts';
import { TestNextcloud } from '../servers/nextcloud.ts';
import { TestProxy } from '../servers/proxy.ts';
import { collect, cut, noise, sha256 } from '../support/byte-streams.ts';
import { mountSmallDisk } from '../support/small-disk.ts';
import { until } from '../support/until.ts';

const CONTENT = noise(6_000_000, 3);

describe('webdav: requests that fail', function () {
  this.timeout(240_000);
  let server: TestNextcloud;
  let folder: string;
  let driver: DestinationDriver;

  before(async () => {
    server = await TestNextcloud.start();
  });

  after(async () => await server.stop());

  beforeEach(async () => {
    folder = join(server.root, 'backups');
    await makeOwned(server.root, folder);
    const url = `http://127.0.0.1:${server.port}/dav/backups`;
    driver = createWebdavDestination({ ...server.settings, url, timeout: 5 });
  });

  afterEach(async () => {
    server.fault = () => 'pass';
    await rm(folder, { recursive: true, force: true });
  });

  const put = async (path: string, content = CONTENT) => {
    const pending = await driver.write(path, cut(content, 65_536), { signal: never });
    await pending.commit();
  };

  /** Does this to the next request that fits, once. */
  const once = (
    fits: (request: IncomingMessage) => boolean,
    what: 'reset' | 'answer then reset' | number,
  ) => {
    let done = false;
    server.fault = (request) => {
      if (done || !fits(request)) return 'pass';
      done = true;
      return what;
    };
    return () => done;
  };
  const isStream = ({ method, headers }: IncomingMessage) =>
    method === 'PUT' && 'transfer-encoding' in headers;

  it('says so when the upload is refused or broken off, and leaves nothing', async () => {
    for (const [what, code] of [
      ['reset', 'unavailable'],
      [503, 'unavailable'],
      [507, 'no-space'],
      [413, 'no-space'],
      [403, 'permission'],
      [423, 'unavailable'],
    ] as const) {
      const sprung = once(isStream, what);
      const error = await rejectsWith(put('job/set/a'), code);
      assert.ok(sprung());
      assert.equal(error.transient, code === 'unavailable', error.message);
      await until(async () => (await readdir(folder)).length === 0, 120_000);
    }
    await put('job/set/a');
  });

  it('sends what is in memory again', async () => {
    for (const what of ['reset', 'answer then reset', 503, 502, 429] as const) {
      const sprung = once(({ method }) => method === 'PUT', what);
      await put(`job/${what}`, Buffer.from('small'));
      assert.ok(sprung());
      assert.equal((await collect(await driver.read(`job/${what}`, { signal: never }))).toString(), 'small');
    }
  });

  it('says so when the commit fails, and can be aborted', async () => {
    for (const method of ['MKCOL', 'MOVE']) {
      for (const what of ['reset', 503] as const) {
        const pending = await driver.write('job/a', cut(CONTENT, 65_536), { signal: never });
        const sprung = once((request) => request.method === method, what);
        const error = await rejectsWith(pending.commit(), 'unavailable');
        assert.ok(sprung());
        assert.ok(error.transient);
        await pending.abort();
        assert.deepEqual(await readdir(folder), []);
      }
    }
  });

  it('takes a rename whose answer got lost for what it is: done', async () => {
    const pending = await driver.write('job/a', cut(CONTENT, 65_536), { signal: never });
    const sprung = once(({ method }) => method === 'MOVE', 'answer then reset');
    await pending.commit();
    assert.ok(sprung());
    await pending.abort();
    assert.deepEqual(await readdir(join(folder, 'job')), ['a']);
    assert.equal(sha256(await collect(await driver.read('job/a', { signal: never }))), sha256(CONTENT));
  });

  it('leaves no lock when the answer to it got lost', async () => {
    const pending = await driver.write('job/a', cut(CONTENT, 65_536), { signal: never });
    once(({ method }) => method === 'MKCOL', 'answer then reset');
    await rejectsWith(pending.commit(), 'unavailable');
    await pending.abort();
    assert.deepEqual(await readdir(folder), []);
    await put('job/a');
  });

  it('follows no redirect, which could lead its password astray', async () => {
    once(({ method }) => method === 'PROPFIND', 302);
    const error = await rejectsWith(driver.stat('a', never), 'invalid-config');
    assert.match(error.message, /302.*set the URL that it leads to/);
  });

  it('never takes an error for an empty list', async () => {
    await put('job/a', Buffer.from('a'));
    for (const [what, code] of [
      [500, 'unavailable'],
      [401, 'permission'],
      [403, 'permission'],
      [200, 'unavailable'],
    ] as const) {
      once(({ method, url }) => method === 'PROPFIND' && url?.endsWith('/job/') === true, what);
      await rejectsWith(listed(driver), code);
    }
    assert.equal(await listed(driver), 1);
  });

  it('says so when a removal fails, and removes at the second attempt', async () => {
    for (const what of ['reset', 503, 403] as const) {
      await put('job/a', Buffer.from('a'));
      // The first request of a removal looks whether it is a folder.
      const sprung = once(({ method }) => method === (what === 'reset' ? 'PROPFIND' : 'DELETE'), what);
      const result = await driver.remove('job/a', never).catch((error: unknown) => error);
      assert.ok(sprung());
      if (what !== 'reset') assert.ok(result instanceof BackupError && result.transient === (what === 503));
      await driver.remove('job/a', never);
      assert.deepEqual(await readdir(folder), []);
    }
  });

  describe('in chunks', () => {
    const large = noise(23_000_000, 5);

    beforeEach(() => {
      const url = `${server.settings.url}/backups`;
      driver = createWebdavDestination({ ...server.settings, url, timeout: 5 });
      server.requests.length = 0;
    });

    afterEach(() => {
      server.quota = undefined;
    });

    it('sends a large object in chunks and a small one whole', async () => {
      await put('job/small', noise(4_000_000));
      assert.deepEqual(
        server.requests.filter((request) => request.includes('uploads')),
        [],
      );
      await put('job/large', large);
      const sent = server.requests.filter((request) => request.startsWith('PUT uploads'));
      assert.deepEqual(
        sent.map((request) => request.slice(-5)),
        ['00001', '00002', '00003', '00004', '00005'],
      );
      assert.equal(sha256(await collect(await driver.read('job/large', { signal: never }))), sha256(large));
      assert.deepEqual(await server.uploads(), []);
    });

    it('sends a chunk again whose connection broke', async () => {
      for (const what of ['reset', 'answer then reset', 503] as const) {
        const sprung = once(({ method, url }) => method === 'PUT' && url?.endsWith('00003') === true, what);
        await put(`job/${what}`, large);
        assert.ok(sprung());
        assert.equal(
          sha256(await collect(await driver.read(`job/${what}`, { signal: never }))),
          sha256(large),
        );
      }
    });

    it('asks what became of an assembly on which a proxy gave up', async () => {
      const isAssembly = ({ method, url }: IncomingMessage) =>
        method === 'MOVE' && url?.endsWith('.file') === true;
      for (const what of ['answer then reset', 504, 423] as const) {
        const sprung = once(isAssembly, what);
        await put(`job/${what}`, large);
        assert.ok(sprung());
        assert.equal(
          sha256(await collect(await driver.read(`job/${what}`, { signal: never }))),
          sha256(large),
        );
      }
    });

    it('says so when the quota is used up, and leaves nothing', async () => {
      server.quota = 12_000_000;
      const error = await rejectsWith(put('job/a', large), 'no-space');
      assert.match(error.message, /quota/);
      assert.deepEqual(await server.uploads(), []);
      await until(async () => (await readdir(folder)).length === 0, 120_000);
      const early = driver.write('a', cut(large, 65_536), { signal: never, expectedBytes: large.length });
      assert.match((await rejectsWith(early, 'no-space')).message, /12000000 bytes free/);
    });

    it('sweeps uploads that dead processes left, and no others', async () => {
      await makeOwned(
        server.root,
        join(server.root, '..', 'uploads', 'dbackup-00000000-0000-0000-0000-000000000000'),
      );
      await makeOwned(server.root, join(server.root, '..', 'uploads', 'web-file-upload-1'));
      assert.deepEqual(await driver.sweep(new Date(Date.now() - 3_600_000), never), []);
      assert.equal((await driver.sweep(new Date(Date.now() + 60_000), never)).length, 1);
      assert.deepEqual(await server.uploads(), ['web-file-upload-1']);
      await rm(join(server.root, '..', 'uploads', 'web-file-upload-1'), { recursive: true });
    });

    it('streams to a server that has such URLs and knows no chunks', async () => {
      once(({ method, url }) => method === 'MKCOL' && url?.includes('/uploads/') === true, 404);
      await put('job/a', large);
      assert.equal(sha256(await collect(await driver.read('job/a', { signal: never }))), sha256(large));
    });
  });
});

describe('webdav: connections that break', function () {
  this.timeout(240_000);
  let server: TestApache;
  let proxy: TestProxy;
  let folder: string;
  let driver: DestinationDriver;

  before(async () => {
    server = await TestApache.start();
  });

  after(async () => await server.stop());

  beforeEach(async () => {
    proxy = await TestProxy.start(server);
    folder = join(server.root, 'backups');
    await makeOwned(server.root, folder);
    driver = createWebdavDestination({
      ...server.settings,
      url: `http://127.0.0.1:${proxy.port}/dav/backups`,
      timeout: 2,
    });
  });

  afterEach(async () => {
    await proxy.close();
    await rm(folder, { recursive: true, force: true });
  });

  const put = async (path: string, content = CONTENT) => {
    const pending = await driver.write(path, cut(content, 65_536), { signal: never });
    await pending.commit();
  };

  for (const fault of ['cut', 'reset', 'stall'] as const) {
    it(`says so when they ${fault} in the middle of an upload, and leaves nothing`, async () => {
      async function* broken(): AsyncGenerator<Buffer> {
        yield CONTENT;
        await until(async () =>
          (await readdir(folder, { recursive: true })).some((name) => name.includes('.partial')),
        );
        proxy[fault]();
        for (;;) {
          yield CONTENT;
          await wait(1);
        }
      }
      const error = await rejectsWith(
        driver.write('job/a', broken(), { signal: never }),
        'unavailable',
        'stalled',
      );
      assert.ok(error.transient, error.message);
      proxy.resume();
      await until(async () => (await readdir(folder)).length === 0, 120_000);
    });

    it(`goes on when they ${fault} in the middle of a reading`, async () => {
      await put('job/a');
      const got: Buffer[] = [];
      for await (const chunk of await driver.read('job/a', { signal: never })) {
        got.push(chunk);
        if (got.length === 3) proxy[fault]();
      }
      assert.equal(sha256(Buffer.concat(got)), sha256(CONTENT));
    });

    it(`never takes less for the whole list when they ${fault}`, async () => {
      for (let index = 0; index < 40; index += 1) await makeOwned(server.root, join(folder, `job-${index}`));
      for (const bytes of [1, 500, 3000, 6000]) {
        proxy.after(bytes, fault);
        const result = await listed(driver).catch((error: unknown) => error);
        assert.ok(
          result === 0 || (result instanceof Error && Reflect.get(result, 'transient')),
          String(result),
        );
        proxy.resume();
      }
    });
  }

  it('does not mix two versions of an object', async () => {
    await put('job/a');
    const direct = createWebdavDestination({ ...server.settings, url: `${server.settings.url}/backups` });
    const reading = (async () => {
      let times = 0;
      for await (const _ of await driver.read('job/a', { signal: never })) {
        times += 1;
        if (times !== 2) continue;
        const next = await direct.write('job/a', cut(noise(7_000_000, 9), 65_536), {
          signal: never,
          replace: true,
        });
        await next.commit();
        proxy.reset();
      }
    })();
    await rejectsWith(reading, 'incomplete');
  });

  it('says so when the server does not answer', async () => {
    proxy.accepts = 'silence';
    const error = await rejectsWith(driver.probe(never), 'stalled');
    assert.ok(error.transient);
  });

  it('has no connection left a while after its work', async () => {
    await put('job/a');
    assert.ok(proxy.connections > 0, 'kept for the next piece of work');
    await until(() => proxy.connections === 0, 120_000);
    assert.equal(await listed(driver), 1);
  });
});

describe('webdav: servers at their limits', function () {
  this.timeout(240_000);

  it('says so when the disk of the server fills up, and leaves nothing', async function () {
    const disk = await mountSmallDisk(this, 'size=4m');
    const server = await TestApache.start({ root: disk.path });
    try {
      const driver = createWebdavDestination(server.settings);
      const error = await rejectsWith(
        driver.write('job/a', cut(noise(12_000_000), 65_536), { signal: never }),
        'no-space',
      );
      assert.match(error.message, /507/);
      await until(async () => (await readdir(disk.path)).length === 0, 120_000);
    } finally {
      await server.stop();
      await disk.unmount();
    }
  });

  it('does not let the server end an upload for which nothing comes', async () => {
    const server = await TestApache.start({ config: ['Timeout 2'] });
    const content = noise(3_000_000);
    async function* pausing(): AsyncGenerator<Buffer> {
      await wait(3500);
      yield content.subarray(0, 2_000_000);
      await wait(3500);
      yield content.subarray(2_000_000);
    }
    const write = async (longestPauseMs: number) => {
      const driver = createWebdavDestination(server.settings, { longestPauseMs });
      const pending = await driver.write('slow', pausing(), { signal: never });
      await pending.commit();
      return await collect(await driver.read('slow', { signal: never }));
    };
    try {
      assert.equal(sha256(await write(300)), sha256(content));
      await createWebdavDestination(server.settings).remove('slow', never);
      await rejectsWith(write(60_000), 'unavailable', 'invalid-config', 'incomplete');
    } finally {
      await server.stop();
    }
  });
});

async function makeOwned(root: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = await stat(root);
  await chown(folder, uid, gid);
}

async function listed(driver: DestinationDriver): Promise<number> {
  let count = 0;
  for await (const _ of driver.list('', never)) count += 1;
  return count;
}
