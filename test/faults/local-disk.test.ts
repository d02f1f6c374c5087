import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { collect, noise } from '../support/byte-streams.ts';
import { mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';

const MIB = 1024 * 1024;

describe('local destination on a disk that is full or read-only', () => {
  let disk: SmallDisk | undefined;

  afterEach(async () => {
    await disk?.unmount();
    disk = undefined;
  });

  it('fails with no-space when the disk fills up half-way, and gives the space back', async function () {
    disk = await mountSmallDisk(this, 'size=4m');
    const driver = createLocalDestination({ root: disk.path, reserveMiB: 0 });
    await put(driver, 'job/set/kept', noise(MIB));
    const error = await rejectsWith(driver.write('job/next/big', zeros(8), { signal: never }), 'no-space');
    assert.match(error.message, /job\/next\/big: the disk is full/);
    assert.deepEqual((await readdir(disk.path, { recursive: true })).sort(), [
      'job',
      'job/set',
      'job/set/kept',
    ]);
    await put(driver, 'job/next/small', noise(2 * MIB));
  });

  it('fails at once, not at the next chunk, while its producer waits', async function () {
    disk = await mountSmallDisk(this, 'size=4m');
    const driver = createLocalDestination({ root: disk.path });
    async function* thenSilent(): AsyncGenerator<Buffer> {
      yield* zeros(6);
      await wait(20_000, undefined, { ref: false });
    }
    const started = performance.now();
    await rejectsWith(driver.write('a', thenSilent(), { signal: never }), 'no-space');
    assert.ok(performance.now() - started < 10_000);
    assert.deepEqual(await readdir(disk.path), []);
  });

  it('fails with no-space when no further file can be made', async function () {
    disk = await mountSmallDisk(this, 'size=4m,nr_inodes=4');
    const driver = createLocalDestination({ root: disk.path });
    await put(driver, 'a', Buffer.from('a'));
    await rejectsWith(
      (async () => {
        for (let index = 0; index < 5; index += 1) await put(driver, `b${index}`, Buffer.from('b'));
      })(),
      'no-space',
    );
    assert.equal((await collect(await driver.read('a', { signal: never }))).toString(), 'a');
  });

  it('refuses what would use up the reserve, but lets a manifest have it', async function () {
    disk = await mountSmallDisk(this, 'size=8m');
    const driver = createLocalDestination({ root: disk.path, reserveMiB: 6 });
    const error = await rejectsWith(
      driver.write('big', zeros(3), { signal: never, expectedBytes: 3 * MIB }),
      'no-space',
    );
    assert.match(error.message, /6 MiB to be kept free/);
    await put(driver, 'fits', noise(2 * MIB - 65_536));
    await put(driver, 'manifest.json', noise(100_000));
  });

  it('says that a disk is read-only, and still reads and lists it', async function () {
    disk = await mountSmallDisk(this, 'size=4m');
    const driver = createLocalDestination({ root: disk.path });
    await put(driver, 'job/set/a', Buffer.from('content'));
    await disk.remount('ro');
    for (const work of [
      () => driver.write('job/set/b', zeros(1), { signal: never }),
      () => driver.write('new/folder/b', zeros(1), { signal: never }),
      () => driver.remove('job/set/a', never),
      () => driver.probe(never),
    ]) {
      const error = await rejectsWith(work(), 'permission');
      assert.match(error.message, /read-only/);
    }
    assert.equal((await collect(await driver.read('job/set/a', { signal: never }))).toString(), 'content');
    const paths: string[] = [];
    for await (const { path } of driver.list('', never)) paths.push(path);
    assert.deepEqual(paths, ['job/set/a']);
  });

  it('sees that a disk is mounted, or not, on its folder', async function () {
    disk = await mountSmallDisk(this, 'size=4m');
    const driver = createLocalDestination({ root: disk.path, mountPoint: true, reserveMiB: 0 });
    await put(driver, 'a', Buffer.from('a'));
    const free = await driver.freeSpace?.(never);
    assert.ok(free !== undefined && free < 4 * MIB, `${free} bytes free`);
    const { path, unmount } = disk;
    disk = undefined;
    await unmount();
    const gone = createLocalDestination({ root: path, mountPoint: true });
    await rejectsWith(gone.write('a', zeros(1), { signal: never }), 'not-found');
  });
});

async function* zeros(mebibytes: number): AsyncGenerator<Buffer> {
  for (let index = 0; index < mebibytes; index += 1) yield Buffer.alloc(MIB);
}

async function put(
  driver: ReturnType<typeof createLocalDestination>,
  path: string,
  content: Buffer,
): Promise<void> {
  async function* once(): AsyncGenerator<Buffer> {
    yield content;
  }
  const pending = await driver.write(path, once(), { signal: never, expectedBytes: content.length });
  await pending.commit().finally(async () => await pending.abort());
}
