import assert from 'node:assert/strict';
import { type Harness, never, rejectsWith } from './fixture.ts';

const GOOD = [
  'with space/a file.sqlite',
  'ünïcödé/データベース.zst',
  'emoji 🐘/🐬.age',
  'hash#mark/100%/a+b&c=d?e;f',
  '%2e%2e/%2F',
  'quotes\'and"such/`x`$(y)',
  'brackets[1]{2}(3)/a,b!~@^',
  '-rf/--help',
  'a'.repeat(200),
  `long/${'ö'.repeat(100)}`,
  'ends with dot./x.',
  'a:b/*|<>',
];

const BAD = [
  '',
  '/',
  '/etc/passwd',
  '..',
  '../x',
  'a/../../x',
  'a/..',
  './a',
  'a/./b',
  'a//b',
  'a/',
  'a\\b',
  '..\\x',
  'a\0b',
  'a\nb',
  'a\u2028b',
  '.hidden',
  'a/.partial',
  'a'.repeat(256),
  'bad\ud800surrogate',
];

/** Names come back as they were given; those that could climb out are refused everywhere. */
export function nameTests(harness: Harness): void {
  describe('names', () => {
    for (const path of GOOD) {
      it(`stores ${JSON.stringify(path.length > 60 ? `${path.slice(0, 20)}… (${path.length})` : path)}`, async () => {
        await harness.put(path, Buffer.from(path));
        assert.deepEqual(await harness.paths(), [path]);
        assert.equal((await harness.get(path)).toString(), path);
        assert.equal((await harness.driver.stat(path, never))?.path, path);
        const slash = path.lastIndexOf('/');
        if (slash > 0) assert.deepEqual(await harness.paths(path.slice(0, slash)), [path]);
        await harness.driver.remove(path, never);
        assert.deepEqual(await harness.storage.traces(), []);
      });
    }

    it('refuses names that climb or that some storage cannot hold, in every operation', async () => {
      for (const path of BAD) {
        await rejectsWith(harness.write(path, Buffer.from('x')), 'invalid-config');
        await rejectsWith(harness.driver.read(path, { signal: never }), 'invalid-config');
        await rejectsWith(harness.driver.stat(path, never), 'invalid-config');
        await rejectsWith(harness.driver.remove(path, never), 'invalid-config');
        if (path !== '') await rejectsWith(harness.paths(path), 'invalid-config');
      }
      assert.deepEqual(await harness.storage.traces(), []);
    });
  });
}
