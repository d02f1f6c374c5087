import assert from 'node:assert/strict';
import { chown, readdir, stat } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { createSftpDestination } from '../../lib/destinations/sftp/sftp.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { startSshd, type TestSshd } from '../servers/sshd.ts';
import { collect, cut, noise, sha256 } from '../support/byte-streams.ts';
import { countListed } from '../support/proxied-sftp.ts';
import { fillDisk, mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';

describe('sftp: servers at their limits', function () {
  this.timeout(120_000);

  const put = async (driver: DestinationDriver, path: string, content: Buffer) => {
    const pending = await driver.write(path, cut(content, 65_536), { signal: never });
    await pending.commit();
  };

  describe('a small disk', () => {
    let disk: SmallDisk;
    let server: TestSshd;
    let driver: DestinationDriver;

    beforeEach(async function () {
      disk = await mountSmallDisk(this, 'size=8m,nr_inodes=64');
      server = await startSshd();
      const { uid, gid } = await stat(server.folder);
      await chown(disk.path, uid, gid);
      driver = createSftpDestination({ ...server.settings, root: disk.path, reserveMiB: 2 });
    });

    afterEach(async () => {
      await server?.stop();
      await disk?.unmount();
    });

    it('says so when it fills up, and leaves nothing', async () => {
      const error = await rejectsWith(put(driver, 'job/a', noise(20_000_000)), 'no-space');
      assert.match(error.message, /write job\/a on sftp:.*disk is full .*free space there/);
      assert.deepEqual(await readdir(disk.path), []);
      await put(driver, 'job/a', noise(1_000_000));
    });

    it('refuses what cannot fit before a byte is taken', async () => {
      assert.equal(await driver.freeSpace?.(never), 8 * 1024 ** 2);
      let taken = 0;
      async function* counted(): AsyncGenerator<Buffer> {
        taken += 1;
        yield Buffer.alloc(100_000);
      }
      const write = (expectedBytes: number) => driver.write('a', counted(), { signal: never, expectedBytes });
      const error = await rejectsWith(write(7_000_000), 'no-space');
      assert.match(error.message, /8388608 bytes free with 2 MiB to be kept free/);
      assert.equal(taken, 0);
      await (await write(1_000_000)).abort();
    });

    it('says so when it is full to the last byte', async () => {
      await put(driver, 'job/a', Buffer.from('there'));
      fillDisk(disk.path);
      await rejectsWith(put(driver, 'job/b', Buffer.from('x')), 'no-space');
      assert.equal(await countListed(driver), 1 + 1);
      assert.equal((await collect(await driver.read('job/a', { signal: never }))).toString(), 'there');
    });

    it('says so when it can hold no more files', async () => {
      const filling = (async () => {
        for (let index = 0; index < 100; index += 1) await put(driver, `job/${index}`, Buffer.from('x'));
      })();
      const error = await rejectsWith(filling, 'no-space');
      assert.match(error.message, /no inodes/);
    });

    it('says so when it can only be read', async () => {
      await put(driver, 'job/a', Buffer.from('there'));
      await disk.remount('ro');
      for (const work of [() => put(driver, 'job/b', Buffer.from('x')), () => driver.probe(never)]) {
        const error = await rejectsWith(work(), 'permission');
        assert.match(error.message, /mounted read-only/);
      }
      assert.equal(await countListed(driver), 1);
    });
  });

  const served = async (
    options: Parameters<typeof startSshd>[0],
    work: (server: TestSshd, driver: DestinationDriver) => Promise<void>,
  ) => {
    const server = await startSshd(options);
    try {
      await work(server, createSftpDestination({ ...server.settings, root: server.root }));
    } finally {
      await server.stop();
    }
  };

  it('says so when the server lets its users only read', async () => {
    await served({ sftp: 'internal-sftp -R' }, async (server, driver) => {
      const error = await rejectsWith(driver.probe(never), 'permission');
      assert.match(error.message, /only read/);
      assert.equal(await countListed(driver), 0);
      assert.deepEqual(await readdir(server.folder), []);
    });
  });

  it('says so when there is no SFTP', async () => {
    await served({ sftp: '/nonexistent/sftp-server' }, async (_server, driver) => {
      const error = await rejectsWith(driver.probe(never), 'unavailable');
      assert.match(error.message, /offers no SFTP .*see Subsystem sftp/);
    });
  });

  for (const sessions of [1, 3]) {
    it(`makes do with ${sessions} sessions on its connection`, async () => {
      await served({ config: [`MaxSessions ${sessions}`] }, async (_server, driver) => {
        await Promise.all(
          Array.from({ length: 8 }, (_, index) => put(driver, `job/${index}`, noise(300_000, index + 1))),
        );
        assert.equal(await countListed(driver), 8);
        const content = await collect(await driver.read('job/5', { signal: never }));
        assert.equal(sha256(content), sha256(noise(300_000, 6)));
      });
    });
  }

  it('exchanges new keys on the way when the server wants to', async () => {
    await served({ config: ['RekeyLimit 1M'] }, async (_server, driver) => {
      const content = noise(12_000_000);
      await put(driver, 'job/a', content);
      assert.equal(sha256(await collect(await driver.read('job/a', { signal: never }))), sha256(content));
    });
  });

  it('does not let a strict server end an upload for which nothing comes', async () => {
    await served({ config: ['ClientAliveInterval 1', 'ClientAliveCountMax 2'] }, async (_server, driver) => {
      const content = noise(300_000);
      async function* pausing(): AsyncGenerator<Buffer> {
        yield content.subarray(0, 100_000);
        await wait(4000);
        yield content.subarray(100_000);
      }
      const pending = await driver.write('slow', pausing(), { signal: never });
      await pending.commit();
      assert.equal(sha256(await collect(await driver.read('slow', { signal: never }))), sha256(content));
    });
  });
});
