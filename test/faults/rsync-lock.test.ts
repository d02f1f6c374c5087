import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createRsyncDestination } from '../../lib/destinations/rsync/rsync.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { entriesBelow, makeFolder } from '../conformance/rsync/storage.ts';
import { TestProxy } from '../servers/proxy.ts';
import { TestRsyncd } from '../servers/rsyncd.ts';
import { cut } from '../support/byte-streams.ts';

describe('rsync: a lock whose answer gets lost', function () {
  this.timeout(120_000);
  let daemon: TestRsyncd;
  let proxy: TestProxy;

  before(async () => {
    daemon = await TestRsyncd.start();
    proxy = await TestProxy.start(daemon);
  });

  after(async () => {
    await proxy?.close();
    await daemon?.stop();
  });

  it('is removed by abort, so that the next attempt is not kept out', async () => {
    const folder = join(daemon.home, 'storage');
    await makeFolder(daemon, folder);
    const driver = createRsyncDestination({ ...daemon.settings, port: proxy.port, root: 'storage' });
    const write = () => driver.write('a', cut(Buffer.from('content'), 64), { signal: never });
    const pending = await write();
    const isLocked = () => readdirSync(folder).some((name) => name.startsWith('.commit.'));
    const watching = setInterval(() => {
      if (!isLocked()) return;
      clearInterval(watching);
      proxy.accepts = 'reset';
      proxy.reset();
    });
    try {
      await rejectsWith(pending.commit(), 'unavailable');
    } finally {
      clearInterval(watching);
    }
    assert.ok(isLocked());
    proxy.accepts = 'pass';
    await pending.abort();
    assert.deepEqual(await entriesBelow(folder), []);
    await (await write()).commit();
    assert.deepEqual(await entriesBelow(folder), ['a']);
  });
});
