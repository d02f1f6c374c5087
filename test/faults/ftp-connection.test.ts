import assert from 'node:assert/strict';
import { chown, mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { createFtpDestination } from '../../lib/destinations/ftp/ftp.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { type FtpFault, FtpProxy } from '../servers/ftp-proxy.ts';
import { TestProftpd } from '../servers/proftpd.ts';
import { collect, cut, noise, sha256 } from '../support/byte-streams.ts';
import { fillDisk, mountSmallDisk } from '../support/small-disk.ts';
import { until } from '../support/until.ts';

const FAULTS: readonly FtpFault[] = ['cut', 'reset', 'stall'];
const CONTENT = noise(6_000_000, 3);

describe('ftp: connections that break', function () {
  this.timeout(240_000);
  let server: TestProftpd;
  let proxy: FtpProxy;
  let folder: string;
  let driver: DestinationDriver;

  before(async () => {
    server = await TestProftpd.start({ security: 'plain' });
  });

  after(async () => await server.stop());

  beforeEach(async () => {
    proxy = await FtpProxy.start(server.port);
    folder = join(server.home, 'backups');
    await mkdir(folder);
    if (process.getuid?.() === 0) {
      const { uid, gid } = await stat(server.home);
      await chown(folder, uid, gid);
    }
    driver = createFtpDestination({ ...server.settings, port: proxy.port, root: 'backups', timeout: 1 });
  });

  afterEach(async () => {
    await proxy.close();
    await rm(folder, { recursive: true, force: true });
  });

  const traces = async () => (await readdir(folder, { recursive: true })).sort();
  /** A listing fails when a folder vanishes meanwhile. */
  const isEmpty = async () => (await traces().catch(() => ['changing'])).length === 0;
  const put = async (path: string, content = CONTENT) => {
    const pending = await driver.write(path, cut(content, 65_536), { signal: never });
    await pending.commit();
  };

  describe('while it writes', () => {
    for (const fault of FAULTS) {
      for (const command of ['USER', 'EPSV', 'STOR', 'SIZE .*partial']) {
        it(`says so when connections ${fault} at ${command}, and leaves nothing`, async () => {
          proxy.at(new RegExp(`^${command}`), fault);
          const error = await rejectsWith(put('job/set/a'), 'unavailable', 'stalled');
          assert.ok(proxy.sprung);
          assert.ok(error.transient, error.message);
          proxy.heal();
          await until(isEmpty, 120_000);
          await put('job/set/a');
        });
      }

      it(`says so when connections ${fault} in the middle`, async () => {
        async function* broken(): AsyncGenerator<Buffer> {
          yield CONTENT;
          await until(() => proxy.commands.includes('STOR'));
          proxy.fault(fault);
          for (;;) {
            yield CONTENT;
            await wait(1);
          }
        }
        const error = await rejectsWith(
          driver.write('job/set/a', broken(), { signal: never }),
          'unavailable',
          'stalled',
        );
        assert.ok(error.transient, error.message);
        proxy.heal();
        await until(isEmpty, 120_000);
      });
    }

    it('says so when the data connection ends early, which the server takes for the end of the file', async () => {
      async function* broken(): AsyncGenerator<Buffer> {
        yield CONTENT;
        await until(() => proxy.commands.includes('STOR'));
        await wait(100);
        proxy.faultData('cut');
        yield CONTENT;
      }
      const error = await rejectsWith(
        driver.write('a', broken(), { signal: never }),
        'unavailable',
        'incomplete',
      );
      assert.ok(error.transient, error.message);
      assert.deepEqual(await traces(), []);
    });

    it('says so when the server dies', async () => {
      const dying = await TestProftpd.start({ security: 'plain' });
      const doomed = createFtpDestination({ ...dying.settings, timeout: 1 });
      async function* killing(): AsyncGenerator<Buffer> {
        yield CONTENT;
        await until(() => dying.sessions().length > 0);
        await dying.stop();
        yield CONTENT;
        yield CONTENT;
      }
      const error = await rejectsWith(doomed.write('a', killing(), { signal: never }), 'unavailable');
      assert.ok(error.transient, error.message);
    });
  });

  describe('while it commits', () => {
    for (const fault of FAULTS) {
      for (const command of ['MKD .*commit', 'RNFR', 'RNTO']) {
        it(`says so when connections ${fault} at ${command}, and can be aborted`, async () => {
          const pending = await driver.write('job/a', cut(CONTENT, 65_536), { signal: never });
          proxy.at(new RegExp(`^${command}`), fault);
          const committing = pending.commit();
          committing.catch(() => undefined);
          if (fault === 'stall')
            await until(() => proxy.sprung)
              .then(() => wait(100))
              .then(() => proxy.heal());
          const error = await rejectsWith(committing, 'unavailable', 'stalled');
          assert.ok(error.transient, error.message);
          proxy.heal();
          await pending.abort();
          assert.deepEqual(await traces(), []);
        });
      }
    }

    it('takes a rename whose answer got lost for what it is: done', async () => {
      const pending = await driver.write('job/a', cut(CONTENT, 65_536), { signal: never });
      proxy.at(/^RNTO/, 'reset', { delivered: true });
      await pending.commit();
      assert.ok(proxy.sprung);
      assert.deepEqual(await traces(), ['job', 'job/a']);
      await pending.abort();
      assert.equal(sha256(await collect(await driver.read('job/a', { signal: never }))), sha256(CONTENT));
    });

    it('leaves no lock when the answer to it got lost', async () => {
      const pending = await driver.write('job/a', cut(CONTENT, 65_536), { signal: never });
      proxy.at(/^MKD .*commit/, 'reset', { delivered: true });
      await rejectsWith(pending.commit(), 'unavailable');
      await pending.abort();
      assert.deepEqual(await traces(), []);
      await put('job/a');
    });
  });

  describe('while it reads', () => {
    beforeEach(async () => await put('job/a'));

    it('goes on where the data connection broke', async () => {
      for (const fault of ['cut', 'reset'] as const) {
        const got: Buffer[] = [];
        let times = 0;
        for await (const chunk of await driver.read('job/a', { signal: never })) {
          got.push(chunk);
          times += 1;
          if (times === 3) proxy.fault(fault);
        }
        assert.equal(sha256(Buffer.concat(got)), sha256(CONTENT), fault);
      }
    });

    it('goes on after a stall', async () => {
      proxy.at(/^RETR/, 'stall', { delivered: true });
      const reading = collect(await driver.read('job/a', { signal: never }));
      await until(() => proxy.sprung);
      await wait(200);
      proxy.heal();
      assert.equal(sha256(await reading), sha256(CONTENT));
    });

    it('gives up when nothing gets through', async () => {
      const stream = await driver.read('job/a', { signal: never });
      proxy.fault('stall');
      const error = await rejectsWith(collect(stream), 'stalled', 'unavailable');
      assert.ok(error.transient);
    });

    it('does not mix two versions of an object', async () => {
      const stream = await driver.read('job/a', { signal: never });
      const reading = (async () => {
        let times = 0;
        for await (const _ of stream) {
          times += 1;
          if (times !== 2) continue;
          const other = createFtpDestination({ ...server.settings, root: 'backups' });
          const next = await other.write('job/a', cut(noise(7_000_000, 9), 65_536), {
            signal: never,
            replace: true,
          });
          await next.commit();
          proxy.fault('reset');
        }
      })();
      await rejectsWith(reading, 'incomplete');
    });
  });

  describe('while it lists and removes', () => {
    beforeEach(async () => {
      for (const name of ['a', 'b', 'c']) await put(`job/${name}`, Buffer.from(name));
    });

    for (const fault of FAULTS) {
      for (const command of ['EPSV', 'MLSD']) {
        it(`never takes less for the whole list when connections ${fault} at ${command}`, async () => {
          proxy.at(new RegExp(`^${command}`), fault);
          const error = await rejectsWith(listed(driver), 'unavailable', 'stalled');
          assert.ok(error.transient, error.message);
          proxy.heal();
          assert.equal(await listed(driver), 3);
        });
      }

      it(`says so when connections ${fault} at DELE`, async () => {
        proxy.at(/^DELE/, fault);
        await rejectsWith(driver.remove('job/a', never), 'unavailable', 'stalled');
        proxy.heal();
        await driver.remove('job/a', never);
        assert.equal(await listed(driver), 2);
      });
    }

    it('never takes a list for whole whose data connection was cut', async () => {
      proxy.at(/^MLSD/, 'cut', { delivered: true });
      const result = await listed(driver).catch((error: unknown) => error);
      assert.ok(result === 3 || result instanceof Error, `listed ${String(result)}`);
    });
  });

  it('has no connection left a while after its work', async () => {
    await put('job/a');
    await listed(driver);
    assert.ok(proxy.connections > 0, 'kept for the next piece of work');
    await until(() => proxy.connections === 0, 120_000);
    assert.equal(await listed(driver), 1);
  });
});

describe('ftp: servers at their limits', function () {
  this.timeout(240_000);

  it('says so when the disk of the server fills up, and leaves nothing', async function () {
    const disk = await mountSmallDisk(this, 'size=4m');
    const server = await TestProftpd.start({ security: 'plain' });
    try {
      const driver = createFtpDestination({ ...server.settings, root: disk.path });
      const write = (bytes: Buffer) => driver.write('job/a', cut(bytes, 65_536), { signal: never });
      await rejectsWith(write(noise(12_000_000)), 'no-space');
      assert.deepEqual(await readdir(disk.path), []);
      let taken = 0;
      async function* counted(): AsyncGenerator<Buffer> {
        taken += 1;
        yield Buffer.alloc(100_000);
      }
      const error = await rejectsWith(
        driver.write('a', counted(), { signal: never, expectedBytes: 8_000_000 }),
        'no-space',
      );
      assert.match(error.message, /free space/);
      assert.ok(taken <= 1);
      fillDisk(disk.path);
      await rejectsWith(write(Buffer.from('x')), 'no-space', 'unavailable', 'permission');
    } finally {
      await server.stop();
      await disk.unmount();
    }
  });

  it('makes do with fewer connections than it might have', async () => {
    const server = await TestProftpd.start({
      security: 'plain',
      config: ['MaxClientsPerUser 2 "Sorry, the maximum number of connections is %m"'],
    });
    try {
      const driver = createFtpDestination({ ...server.settings, connections: 8 });
      await Promise.all(
        Array.from({ length: 8 }, async (_, index) => {
          const pending = await driver.write(`job/${index}`, cut(noise(200_000), 10_000), { signal: never });
          await pending.commit();
        }),
      );
      assert.equal(await listed(driver), 8);
    } finally {
      await server.stop();
    }
  });

  it('does not let the server end an upload for which nothing comes', async () => {
    const impatient = ['TimeoutStalled 2', 'TimeoutNoTransfer 2', 'TimeoutIdle 2'];
    const server = await TestProftpd.start({ security: 'plain', config: impatient });
    const content = noise(300_000);
    async function* pausing(): AsyncGenerator<Buffer> {
      await wait(3500);
      yield content.subarray(0, 100_000);
      await wait(3500);
      yield content.subarray(100_000);
    }
    const write = async (longestPauseMs: number) => {
      const driver = createFtpDestination(server.settings, { longestPauseMs });
      const pending = await driver.write('slow', pausing(), { signal: never });
      await pending.commit();
      return await collect(await driver.read('slow', { signal: never }));
    };
    try {
      assert.equal(sha256(await write(300)), sha256(content));
      await createFtpDestination(server.settings).remove('slow', never);
      await rejectsWith(write(60_000), 'unavailable');
    } finally {
      await server.stop();
    }
  });
});

async function listed(driver: DestinationDriver): Promise<number> {
  let count = 0;
  for await (const _ of driver.list('', never)) count += 1;
  return count;
}
