import assert from 'node:assert/strict';
import { rm, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import { filesBelow, ONE_COPY, runEngine, useLocalFolders } from '../support/engine-run.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

const MIB = 1024 * 1024;
const signal = new AbortController().signal;

/** As when a disk is unmounted, or somebody tidies up: what was committed is gone before the manifest comes. */
describe('engine: committed files that are lost before the set is complete', () => {
  const folder = useLocalFolders();
  const source = () => new ScriptedSource({ name: 'one', bytes: 2 * MIB }, { name: 'two', bytes: 2 * MIB });

  for (const [what, lose] of [
    ['gone', (file: string) => rm(file)],
    ['cut', (file: string) => truncate(file, 1000)],
  ] as const) {
    it(`${what}: there is no set, and nothing of it is left`, async () => {
      const { root, driver } = await folder();
      const only = { to: losing(root, driver, lose), name: 'only' };
      const { result } = await runEngine(source(), [only], ONE_COPY);
      assert.equal(result.state, 'failed');
      const [destination] = result.destinations;
      assert.equal(destination?.error?.code, 'incomplete');
      assert.match(destination?.error?.message ?? '', /^two\.txt was stored, but is not there any more/);
      assert.deepEqual(await filesBelow(root), []);
    });

    it(`${what}: the set is healed from another destination`, async () => {
      const [good, bad] = [await folder(), await folder()];
      const { result } = await runEngine(source(), [
        { to: good.driver, name: 'good' },
        { to: losing(bad.root, bad.driver, lose), name: 'bad' },
      ]);
      assert.equal(result.state, 'succeeded');
      assert.deepEqual(
        result.destinations.map(({ set }) => set?.healed),
        [false, true],
      );
      const { sets } = await listBackupSets(bad.driver, { prefix: 'sets', signal });
      const [set, ...others] = sets;
      assert.ok(set !== undefined && others.length === 0);
      const report = await verifySet({ set, level: 'content', keys: EMPTY_KEY_RING, signal });
      assert.ok(report.ok, String(report.artifacts.map(({ error }) => error?.message)));
    });
  }
});

/** Loses the second database, once, when the guide has been written. */
function losing(
  root: string,
  driver: DestinationDriver,
  lose: (file: string) => Promise<void>,
): DestinationDriver {
  let done = false;
  return {
    ...driver,
    async write(path, bytes, options) {
      const pending = await driver.write(path, bytes, options);
      return {
        bytes: pending.bytes,
        abort: () => pending.abort(),
        async commit() {
          await pending.commit();
          if (done || !path.endsWith('RESTORE.md')) return;
          done = true;
          const files = await filesBelow(root);
          await lose(join(root, files.find((file) => file.endsWith('two.txt')) ?? ''));
        },
      };
    },
  };
}
