import assert from 'node:assert/strict';
import { withWish } from '../../../lib/backupset/annotation-changes.ts';
import { readAnnotations, updateAnnotations } from '../../../lib/backupset/annotations.ts';
import { manifestText } from '../../../lib/backupset/manifest.ts';
import { sampleManifest } from '../../support/sample-manifest.ts';
import { type Harness, never } from './fixture.ts';

const SET = 'shop/20261122T143000Z_9f86d081';

/** What people say of a set: the one file that changes, by several at a time. */
export function annotationTests(harness: Harness): void {
  describe('annotations', () => {
    beforeEach(async () => {
      await harness.put(`${SET}/manifest.json`, Buffer.from(manifestText(sampleManifest())));
    });

    it('change again and again, and leave nothing beside', async () => {
      for (const pinned of [true, false, true]) {
        const stored = await updateAnnotations(
          harness.driver,
          SET,
          (current) => withWish(current, { pinned }),
          {
            signal: never,
          },
        );
        const { value, error } = await readAnnotations(harness.driver, SET, { signal: never });
        assert.equal(error, undefined);
        assert.deepEqual(value, stored);
        assert.equal(value.pinned, pinned);
      }
      const files = (await harness.storage.traces()).filter((trace) => !trace.endsWith('/'));
      assert.deepEqual(files.sort(), [`${SET}/annotations.json`, `${SET}/manifest.json`]);
    });

    it('lose nothing of two who change them by turns', async () => {
      const drivers = [harness.driver, harness.storage.again()];
      for (const [index, tag] of ['one', 'two', 'three', 'four'].entries()) {
        const driver = drivers[index % 2] ?? harness.driver;
        await updateAnnotations(driver, SET, (current) => withWish(current, { addTags: [tag] }), {
          signal: never,
        });
      }
      const { value } = await readAnnotations(harness.driver, SET, { signal: never });
      assert.deepEqual(value.tags, ['one', 'two', 'three', 'four']);
    });
  });
}
