import assert from 'node:assert/strict';
import { mkdir, mkdtemp, open, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BLOCK_BYTES } from '../../lib/bytes/stream.ts';
import { publishUnderLock } from '../../lib/destinations/local/commit.ts';
import { FileWriter } from '../../lib/destinations/local/file-writer.ts';
import { Folder } from '../../lib/destinations/local/folder.ts';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { temporaryName } from '../../lib/destinations/temporary-names.ts';
import { BackupError } from '../../lib/errors.ts';
import { never, rejectsWith } from '../conformance/destination/fixture.ts';
import { noise } from '../support/byte-streams.ts';
import { skipBecause } from '../support/skip.ts';
import { until } from '../support/until.ts';

describe('local destination on this disk', () => {
  let home: string;

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'dbackup-local-'));
  });

  afterEach(async () => await rm(home, { recursive: true, force: true }));

  describe('its root', () => {
    it('is made on the first write when asked for, and is empty before', async () => {
      const root = join(home, 'new/deep/root');
      const driver = createLocalDestination({ root, create: true });
      for await (const object of driver.list('', never)) assert.fail(`listed ${object.path}`);
      assert.equal(await driver.stat('a', never), undefined);
      await driver.remove('a', never);
      assert.deepEqual(await driver.sweep(new Date(), never), []);
      await rejectsWith(driver.read('a', { signal: never }), 'not-found');
      assert.ok(((await driver.freeSpace?.(never)) ?? 0) > 0);
      assert.deepEqual(await readdir(home), [], 'reading makes nothing');

      await put(root, 'a', 'content');
      assert.equal(await readFile(join(root, 'a'), 'utf8'), 'content');
    });

    it('is not made when not asked for', async () => {
      const driver = createLocalDestination({ root: join(home, 'missing') });
      const error = await rejectsWith(driver.write('a', one('x'), { signal: never }), 'not-found');
      assert.match(error.message, /missing does not exist/);
      assert.deepEqual(await readdir(home), []);
    });

    it('must be a plausible path', () => {
      for (const root of ['', 'relative', '/', '/a\0b']) {
        assert.throws(
          () => createLocalDestination({ root }),
          (error) => error instanceof BackupError && error.code === 'invalid-config',
          JSON.stringify(root),
        );
      }
    });
  });

  it('keeps backups from other users of the host', async () => {
    await put(home, 'job/set/a', 'secret rows');
    assert.equal((await stat(join(home, 'job/set/a'))).mode & 0o777, 0o600);
    assert.equal((await stat(join(home, 'job'))).mode & 0o777, 0o700);
  });

  it('refuses an object in the place of a folder, and a folder in the place of an object', async () => {
    await put(home, 'job/a', 'a');
    const driver = createLocalDestination({ root: home });
    await rejectsWith(driver.write('job/a/b', one('x'), { signal: never }), 'invalid-config');
    await rejectsWith(driver.write('job', one('x'), { signal: never }), 'already-exists');
    await rejectsWith(driver.write('job', one('x'), { signal: never, replace: true }), 'invalid-config');
    await rejectsWith(driver.remove('job', never), 'invalid-config');
    assert.deepEqual(await readdir(home, { recursive: true }), ['job', 'job/a']);
  });

  it('leaves no file or folder open, whatever happens', async function () {
    if (process.platform !== 'linux') skipBecause(this, 'only Linux tells which files are open');
    const driver = createLocalDestination({ root: home });
    const openFiles = async () => (await readdir('/proc/self/fd')).length;
    const before = await openFiles();
    for (let turn = 0; turn < 20; turn += 1) {
      await put(home, `job/${turn}/a`, 'content');
      const aborted = await driver.write(`job/${turn}/b`, one('x'), { signal: never });
      await aborted.abort();
      const late = await driver.write(`job/${turn}/c`, one('x'), { signal: never });
      await put(home, `job/${turn}/c`, 'first');
      await rejectsWith(late.commit(), 'already-exists');
      await late.abort();
      await rejectsWith(driver.write(`job/${turn}/a`, one('x'), { signal: never }), 'already-exists');
      await rejectsWith(driver.write(`job/${turn}/a/b`, one('x'), { signal: never }), 'invalid-config');
      await assert.rejects(driver.write(`job/${turn}/d`, failing(), { signal: never }), /broken/);
      await rejectsWith(driver.read(`job/${turn}/none`, { signal: never }), 'not-found');
      await rejectsWith(
        driver.read(`job/${turn}/a`, { signal: never, range: { start: 99 } }),
        'invalid-config',
      );
      for await (const chunk of await driver.read(`job/${turn}/a`, { signal: never }))
        assert.ok(chunk.length > 0);
      const unread = await driver.read(`job/${turn}/a`, { signal: never });
      await unread[Symbol.asyncIterator]().return?.();
      const cancel = new AbortController();
      await driver.read(`job/${turn}/a`, { signal: cancel.signal });
      cancel.abort();
      for await (const object of driver.list('', never)) {
        assert.ok(object.path !== '');
        break;
      }
      await driver.stat(`job/${turn}/a`, never);
      await driver.remove(`job/${turn}/c`, never);
    }
    await until(async () => (await openFiles()) <= before);
  });

  describe('sweeping', () => {
    it('leaves a write of this process alone, however old, and files of others', async () => {
      const driver = createLocalDestination({ root: home });
      const pending = await driver.write('job/a', one('x'), { signal: never });
      const [temporary = ''] = await readdir(join(home, 'job'));
      const longAgo = new Date('2001-01-01');
      await utimes(join(home, 'job', temporary), longAgo, longAgo);
      const foreign = ['.movie.partial', '.hidden', 'plain.partial'];
      for (const name of foreign) {
        await writeFile(join(home, name), '');
        await utimes(join(home, name), longAgo, longAgo);
      }
      assert.deepEqual(await driver.sweep(new Date(), never), []);
      await pending.commit();
      assert.deepEqual((await readdir(home)).sort(), [...foreign, 'job'].sort());
    });

    it('removes old leftovers with their folders, and tells their names', async () => {
      const name = temporaryName('a.sqlite');
      await mkdir(join(home, 'job/set'), { recursive: true });
      await writeFile(join(home, 'job/set', name), 'half');
      const driver = createLocalDestination({ root: home });
      assert.deepEqual(await driver.sweep(new Date(Date.now() - 60_000), never), [], 'too young');
      assert.deepEqual(await driver.sweep(new Date(Date.now() + 60_000), never), [`job/set/${name}`]);
      assert.deepEqual(await readdir(home), []);
    });
  });

  describe('without hard links', () => {
    it('lets exactly one of several racing writers win', async () => {
      const folder = await Folder.openRoot(home);
      try {
        const names = Array.from({ length: 12 }, () => temporaryName('a'));
        for (const name of names) await writeFile(join(home, name), name);
        const results = await Promise.allSettled(
          names.map(async (name) => await publishUnderLock(folder, name, 'a')),
        );
        const winners = names.filter((_, index) => results[index]?.status === 'fulfilled');
        assert.equal(winners.length, 1);
        assert.equal(await readFile(join(home, 'a'), 'utf8'), winners[0]);
        for (const result of results) {
          if (result.status === 'rejected')
            await rejectsWith(Promise.reject(result.reason), 'already-exists');
        }
        assert.equal((await readdir(home)).length, names.length, 'the lock is gone');
      } finally {
        await folder.close();
      }
    });
  });

  describe('writing behind', () => {
    it('writes every byte in order, whatever the sizes', async () => {
      const content = noise(6_000_000, 9);
      const file = await open(join(home, 'f'), 'w');
      const writer = new FileWriter(file);
      let at = 0;
      for (let size = 1; at < content.length; size = (size * 7919) % 300_007) {
        await writer.add(content.subarray(at, at + size));
        at += size;
      }
      await writer.end();
      await file.close();
      assert.equal(writer.written, content.length);
      assert.ok((await readFile(join(home, 'f'))).equals(content));
    });

    it('makes its producer wait when the disk does not follow', async () => {
      const file = await open(join(home, 'f'), 'w');
      const writer = new FileWriter(file);
      for (let count = 1; count <= 64; count += 1) {
        await writer.add(Buffer.alloc(BLOCK_BYTES));
        const waiting = count - writer.written / BLOCK_BYTES;
        assert.ok(waiting <= 12, `${waiting} blocks wait in memory`);
      }
      await writer.end();
      await file.close();
      assert.equal((await stat(join(home, 'f'))).size, 64 * BLOCK_BYTES);
    });

    it('reports a failed write at once and again at the end', async () => {
      const file = await open(join(home, 'f'), 'wx');
      await file.close();
      const readOnly = await open(join(home, 'f'), 'r');
      const writer = new FileWriter(readOnly);
      const failed = new Promise((resolve) => {
        writer.failed.addEventListener('abort', resolve);
      });
      for (let index = 0; index < 20; index += 1) await writer.add(Buffer.alloc(BLOCK_BYTES));
      await failed;
      await assert.rejects(writer.end(), { code: 'EBADF' });
      await readOnly.close();
    });
  });
});

async function put(root: string, path: string, text: string): Promise<void> {
  const driver = createLocalDestination({ root, create: true });
  const pending = await driver.write(path, one(text), { signal: never });
  await pending.commit();
}

async function* failing(): AsyncGenerator<Buffer> {
  yield Buffer.from('half');
  throw new Error('broken');
}

async function* one(text: string): AsyncGenerator<Buffer> {
  yield Buffer.from(text);
}
