import assert from 'node:assert/strict';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { sweepStorage } from '../../lib/backupset/sweep-storage.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { BackupEngine } from '../../lib/engine/backup-engine.ts';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import type { DatabaseInfo, Dump } from '../../lib/sources/driver.ts';
import { filesBelow, planRun, useLocalFolders } from '../support/engine-run.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

const { signal } = new AbortController();

describe('sweeping a folder that is written to', () => {
  const newFolder = useLocalFolders();

  it('takes nothing of runs and copies of this process, though nothing is too young for it', async () => {
    const [first, second] = [await newFolder(), await newFolder()];
    const engine = new BackupEngine({ host: 'test-host' });
    /** Sweeps; how many folders would have gone, were they not known to be written to. */
    const sweep = async (driver: DestinationDriver) => {
      const request = { driver, prefixes: ['sets'], graceMs: 0, fates: async () => new Map(), signal };
      const dry = await sweepStorage({ ...request, remove: false });
      const isWriting = (runId: string) => engine.isWriting(runId);
      const report = await sweepStorage({ ...request, remove: true, isWriting });
      assert.deepEqual([report.error, report.folders, report.unfinished], [undefined, [], []]);
      return dry.folders.length;
    };
    let met = 0;
    const source = new SqlSource(...['one', 'two', 'three'].map((name) => ({ name, bytes: 300_000 })));
    source.onDump = async () => {
      met += await sweep(first.driver);
    };
    const { run, joins } = planRun(engine, [source], [{ to: first.driver, name: 'first' }]);
    run.seal();
    const [stored] = await Promise.all(joins);
    assert.ok(stored);
    assert.equal(met, 2, 'without the run under way they were orphans, from the second dump on');

    const swept: DestinationDriver = {
      ...second.driver,
      write: async (...args) => {
        met += await sweep(second.driver);
        return await second.driver.write(...args);
      },
    };
    const place = (driver: DestinationDriver, node: string) => ({
      node,
      label: node,
      driver,
      prefix: 'sets',
    });
    const { path } = stored.reference;
    await engine.copySet({ from: place(first.driver, 'first'), to: place(swept, 'second'), path, signal });
    assert.ok(met > 4, 'and so were those of the copy');
    assert.equal(await sweep(second.driver), 0);

    for (const { driver, root } of [first, second]) {
      const { sets } = await listBackupSets(driver, { prefix: 'sets', signal });
      assert.equal(sets.length, 1);
      for (const set of sets) {
        assert.ok((await verifySet({ set, level: 'content', keys: EMPTY_KEY_RING, signal })).ok, root);
      }
      assert.ok((await filesBelow(root)).every((file) => file.startsWith(`sets/${path}/`)));
    }
  });
});

/** A source whose files have a name that a sweep knows. */
class SqlSource extends ScriptedSource {
  override async dump(database: DatabaseInfo, signal: AbortSignal): Promise<Dump> {
    return { ...(await super.dump(database, signal)), extension: '.sql' };
  }
}
