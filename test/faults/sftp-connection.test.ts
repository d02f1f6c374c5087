import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { BackupError } from '../../lib/errors.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { makeFolder } from '../conformance/sftp/storage.ts';
import type { TestProxy } from '../servers/proxy.ts';
import { collect, cut, noise, sha256 } from '../support/byte-streams.ts';
import { countListed, ProxiedSftp } from '../support/proxied-sftp.ts';
import { until } from '../support/until.ts';

const FAULTS = ['cut', 'reset', 'stall', 'damage'] as const;
const CONTENT = noise(6_000_000, 3);
const HASH = sha256(CONTENT);
/** Timeout of storages that are to notice a stall. */
const STALL_S = 5;

describe('sftp: readings and listings whose connection breaks', function () {
  this.timeout(120_000);
  let sftp: ProxiedSftp;
  let proxy: TestProxy;
  let driver: DestinationDriver;

  before(async () => {
    sftp = await ProxiedSftp.start();
    proxy = sftp.proxy;
  });

  after(async () => await sftp.stop());

  beforeEach(async () => {
    await sftp.reset();
    driver = sftp.driver();
  });

  const put = (path: string, content = CONTENT) => sftp.put(driver, path, content);

  describe('while it reads', () => {
    beforeEach(async () => await put('job/a'));

    for (const fault of FAULTS) {
      it(`goes on after a ${fault}`, async () => {
        const driver = sftp.driver(fault === 'stall' ? STALL_S : 60);
        const got: Buffer[] = [];
        for await (const chunk of await driver.read('job/a', { signal: never })) {
          got.push(Buffer.from(chunk));
          if (got.length === 1) proxy.after(200_000, fault);
        }
        assert.ok(!proxy.isArmed, 'it happened');
        assert.equal(sha256(Buffer.concat(got)), HASH);
      });
    }

    it('gives up when nothing gets through', async () => {
      const stream = await sftp.driver(3).read('job/a', { signal: never });
      proxy.accepts = 'silence';
      proxy.stall();
      const error = await rejectsWith(collect(stream), 'stalled', 'unavailable');
      assert.ok(error.transient);
    });

    it('does not mix two versions of an object', async () => {
      const stream = await driver.read('job/a', { signal: never });
      const reading = (async () => {
        let times = 0;
        for await (const _ of stream) {
          times += 1;
          if (times !== 1) continue;
          const options = { signal: never, replace: true };
          const next = await sftp.direct().write('job/a', cut(noise(7_000_000, 9), 65_536), options);
          await next.commit();
          proxy.reset();
        }
      })();
      await rejectsWith(reading, 'incomplete');
    });
  });

  describe('while it lists and removes', () => {
    beforeEach(async () => {
      for (let index = 0; index < 250; index += 1) {
        const path = join(sftp.folder, 'job', `${index}`);
        await makeFolder(sftp.server, join(sftp.folder, 'job'));
        await (await open(path, 'w')).close();
      }
    });

    for (const fault of FAULTS) {
      it(`never takes less for the whole list after a ${fault}`, async () => {
        const driver = sftp.driver(fault === 'stall' ? STALL_S : 60);
        await driver.stat('job/1', never);
        for (const bytes of fault === 'stall' ? [1, 12_000] : [1, 100, 500, 5000, 12_000, 20_000]) {
          proxy.after(bytes, fault);
          const result = await countListed(driver).catch((error: unknown) => error);
          if (result !== 250) {
            assert.ok(result instanceof BackupError, `listed ${String(result)}`);
            assert.ok(result.transient, result.message);
          }
          proxy.disarm();
          assert.equal(await countListed(driver), 250);
        }
      });
    }

    it('says so when connections break while it removes, and removes then', async () => {
      for (const bytes of [1, 90, 180, 270]) {
        proxy.after(bytes, 'reset', 'client');
        const error = await driver.remove(`job/${bytes}`, never).catch((thrown: unknown) => thrown);
        if (error !== undefined) assert.ok(error instanceof BackupError && error.transient);
        proxy.disarm();
        await driver.remove(`job/${bytes}`, never);
        assert.equal(await driver.stat(`job/${bytes}`, never), undefined);
      }
    });
  });

  it('has no connection left a while after its work', async () => {
    await put('job/a');
    assert.ok(proxy.connections > 0, 'kept for the next piece of work');
    await until(() => proxy.connections === 0, 40_000);
    assert.equal(await countListed(driver), 1);
  });
});
