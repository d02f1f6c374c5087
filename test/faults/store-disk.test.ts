import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { tryFileLock } from '../../lib/file-lock.ts';
import { openStore } from '../../lib/store/store.ts';
import { fillDisk, mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';

const FULL = { code: 'no-space', message: /No space left for the store .*dbackup\.db: free some/ };

describe('store on a disk that is full', () => {
  let disk: SmallDisk | undefined;

  afterEach(async () => {
    await disk?.unmount();
    disk = undefined;
  });

  it('says so when there never was room for it', async function () {
    disk = await mountSmallDisk(this, 'size=64k');
    await assert.rejects(openStore(disk.path), FULL);
  });

  it('says so when it was made before', async function () {
    disk = await mountSmallDisk(this, 'size=4m');
    await (await openStore(disk.path)).close();
    fillDisk(disk.path);
    await assert.rejects(openStore(disk.path), FULL);
  });

  it('says so when it runs full while the store is open, for each record and for its end', async function () {
    disk = await mountSmallDisk(this, 'size=4m');
    const store = await openStore(disk.path);
    const { journal } = store;
    await journal.opened({ id: 'first', job: 'shop', openedAt: new Date() });
    fillDisk(disk.path);
    const fillUp = async () => {
      for (let n = 0; n < 200; n += 1) {
        await journal.opened({ id: `r${n}`, job: 'x'.repeat(5000), openedAt: new Date() });
      }
    };
    await assert.rejects(fillUp(), FULL);
    const end = { job: 'shop', state: 'succeeded', openedAt: new Date(), finishedAt: new Date() } as const;
    const artifacts = [{ node: 'src', database: 'x'.repeat(20_000) }];
    const result = { ...end, runId: 'first', rawBytes: 1, artifacts, destinations: [] };
    await assert.rejects(journal.finished(result), FULL);
    await assert.rejects(store.close(), FULL);
  });

  it('tells a lock that finds no room from one that it may not take', async function () {
    disk = await mountSmallDisk(this, 'size=64k');
    mkdirSync(join(disk.path, 'locks'));
    fillDisk(disk.path);
    const lock = () => tryFileLock(join(disk?.path ?? '', 'locks', 'a.lock'));
    assert.throws(lock, { code: 'no-space' });
    assert.throws(() => tryFileLock('/proc/a.lock'), { code: 'permission' });
  });
});
