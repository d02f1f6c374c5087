import assert from 'node:assert/strict';
import { type Harness, never } from './fixture.ts';

/** A listing is whole or an error; what is removed is gone with its folders. */
export function listingTests(harness: Harness): void {
  describe('listing and removing', () => {
    it('lists an empty storage as empty', async () => {
      assert.deepEqual(await harness.paths(), []);
      assert.deepEqual(await harness.paths('no/such/folder'), []);
    });

    it('lists by folder, not by the beginning of a name', async () => {
      for (const path of ['top', 'job/a', 'job/set/b', 'job/set/deep/er/c', 'job2/d', 'jo/e']) {
        await harness.put(path, Buffer.from(path));
      }
      assert.deepEqual(await harness.paths(), [
        'jo/e',
        'job/a',
        'job/set/b',
        'job/set/deep/er/c',
        'job2/d',
        'top',
      ]);
      assert.deepEqual(await harness.paths('job'), ['job/a', 'job/set/b', 'job/set/deep/er/c']);
      assert.deepEqual(await harness.paths('job/set'), ['job/set/b', 'job/set/deep/er/c']);
      const sizes = await harness.list('job/set/deep');
      assert.equal(sizes[0]?.bytes, 'job/set/deep/er/c'.length);
    });

    it('lists every one of thousands', async function () {
      this.timeout(600_000);
      const count = harness.fixture.listedObjects ?? 5000;
      const expected = new Set<string>();
      const plant =
        harness.storage.plant ?? (async (path: string, content: Buffer) => await harness.put(path, content));
      const queue = Array.from({ length: count }, (_, index) =>
        index % 5 === 0 ? `job/set-${index}/file` : `job/flat/file-${index}`,
      );
      await Promise.all(
        Array.from({ length: harness.driver.properties.concurrency }, async () => {
          for (let path = queue.pop(); path !== undefined; path = queue.pop()) {
            expected.add(path);
            await plant(path, Buffer.from(path));
          }
        }),
      );
      const listed = await harness.list();
      assert.equal(listed.length, count);
      for (const { path, bytes } of listed) {
        assert.ok(expected.delete(path), `${path} once`);
        assert.equal(bytes, path.length);
      }
    });

    it('can be left early', async () => {
      for (let index = 0; index < 5; index += 1) await harness.put(`job/${index}`, Buffer.from('x'));
      for await (const object of harness.driver.list('', never)) {
        assert.match(object.path, /^job\//);
        break;
      }
      assert.equal((await harness.paths()).length, 5);
    });

    it('removes one object and the folders that become empty', async () => {
      await harness.put('job/one/a', Buffer.from('a'));
      await harness.put('job/two/b', Buffer.from('b'));
      await harness.driver.remove('job/one/a', never);
      assert.deepEqual(await harness.paths(), ['job/two/b']);
      assert.ok(!(await harness.storage.traces()).includes('job/one/'), 'the empty folder is gone');
      assert.equal(await harness.driver.stat('job/one/a', never), undefined);
      await harness.driver.remove('job/two/b', never);
      assert.deepEqual(await harness.storage.traces(), []);
    });

    it('removes without an error what is gone already', async () => {
      await harness.driver.remove('never/was', never);
      await harness.put('a', Buffer.from('a'));
      await harness.driver.remove('a', never);
      await harness.driver.remove('a', never);
    });

    it('keeps what is being written in a folder whose last object is removed', async () => {
      await harness.put('job/set/a', Buffer.from('a'));
      const pending = await harness.write('job/set/b', Buffer.from('b'));
      await harness.driver.remove('job/set/a', never);
      await pending.commit();
      assert.deepEqual(await harness.paths(), ['job/set/b']);
    });

    it('survives writers and removers in the same folders', async function () {
      this.timeout(240_000);
      const other = harness.storage.again();
      await Promise.all(
        Array.from({ length: 4 }, async (_, writer) => {
          for (let turn = 0; turn < 10; turn += 1) {
            const path = `job/set/${writer}`;
            await harness.put(path, Buffer.from(path));
            await other.remove(path, never);
          }
        }),
      );
      assert.deepEqual(await harness.storage.traces(), []);
    });

    it('tests its connection without leaving anything', async () => {
      const { summary } = await harness.driver.probe(never);
      assert.ok(summary.length > 0);
      assert.deepEqual(await harness.storage.traces(), []);
    });
  });
}
