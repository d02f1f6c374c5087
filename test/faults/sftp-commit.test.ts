import assert from 'node:assert/strict';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import type { TestProxy } from '../servers/proxy.ts';
import { cut, noise, sha256 } from '../support/byte-streams.ts';
import { ProxiedSftp } from '../support/proxied-sftp.ts';
import { until } from '../support/until.ts';

const CONTENT = noise(300_000, 3);

describe('sftp: commits whose connection breaks', function () {
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

  for (const from of ['client', 'server'] as const) {
    for (const fault of ['cut', 'reset', 'damage'] as const) {
      it(`commits all or nothing when a ${fault} comes at any point of what the ${from} says`, async () => {
        for (const bytes of [1, 90, 180, 270, 360, 450, 540, 800, 1200]) {
          const pending = await driver.write('job/a', cut(noise(100_000, bytes), 65_536), {
            signal: never,
          });
          proxy.after(bytes, fault, from);
          await pending.commit();
          await pending.abort();
          assert.deepEqual(await sftp.traces(), ['job', 'job/a'], `after ${bytes} bytes`);
          assert.equal(await sftp.stored('job/a'), sha256(noise(100_000, bytes)));
          proxy.disarm();
          await driver.remove('job/a', never);
        }
      });
    }
  }

  it('goes on after a stall', async () => {
    const driver = sftp.driver(5);
    const pending = await driver.write('job/a', cut(CONTENT, 65_536), { signal: never });
    proxy.after(1, 'stall', 'server');
    await pending.commit();
    assert.ok(!proxy.isArmed);
    assert.deepEqual(await sftp.traces(), ['job', 'job/a']);
  });

  it('says so when nothing gets through any more, and can be aborted', async () => {
    const pending = await driver.write('job/a', cut(CONTENT, 65_536), { signal: never });
    proxy.accepts = 'reset';
    proxy.reset();
    const error = await rejectsWith(pending.commit(), 'unavailable');
    assert.ok(error.transient, error.message);
    proxy.accepts = 'pass';
    await pending.abort();
    assert.deepEqual(await sftp.traces(), []);
  });

  it('takes back what was committed without a word, when that is never heard', async () => {
    const pending = await driver.write('job/a', cut(CONTENT, 65_536), { signal: never });
    // The answer to the first request gets lost, and nothing is reached any more.
    proxy.after(1, 'reset', 'server');
    const committing = pending.commit();
    committing.catch(() => undefined);
    await until(() => !proxy.isArmed, 30_000);
    proxy.accepts = 'reset';
    proxy.reset();
    await rejectsWith(committing, 'unavailable');
    proxy.accepts = 'pass';
    await pending.abort();
    assert.deepEqual(await sftp.traces(), []);
  });

  it('replaces all or nothing when connections break', async () => {
    await put('job/a', Buffer.from('old'));
    for (const bytes of [1, 90, 180, 270, 360, 450]) {
      for (const from of ['client', 'server'] as const) {
        const content = noise(50_000, bytes);
        const options = { signal: never, replace: true };
        const pending = await driver.write('job/a', cut(content, 65_536), options);
        proxy.after(bytes, 'reset', from);
        await pending.commit();
        proxy.disarm();
        assert.equal(await sftp.stored('job/a'), sha256(content));
        assert.deepEqual(await sftp.traces(), ['job', 'job/a']);
      }
    }
  });
});
