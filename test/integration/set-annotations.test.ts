import assert from 'node:assert/strict';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { annotationsOf, readAnnotations } from '../../lib/backupset/annotations.ts';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { BackupEngine } from '../../lib/engine/backup-engine.ts';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import type { RunAnnotations } from '../../lib/plan/run-annotations.ts';
import { recordVerification } from '../../lib/restore/verdict.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import type { VerifiedSet } from '../../lib/runs/outcome.ts';
import { ONE_COPY, planRun, TestClock, useLocalFolders } from '../support/engine-run.ts';
import { FaultyDestination } from '../support/faulty-destination.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

const { signal } = new AbortController();

describe('engine: what a run is told about its sets', () => {
  const folder = useLocalFolders();

  async function run(annotations: RunAnnotations, ...drivers: DestinationDriver[]) {
    const engine = new BackupEngine({ host: 'test-host', clock: new TestClock(), ...ONE_COPY });
    const finished = new Promise<void>((resolve) => engine.events.once('finished', () => resolve()));
    const source = new ScriptedSource({ name: 'orders', bytes: 100_000 });
    const branches = drivers.map((to, index) => ({ to, name: `d${index}` }));
    const { run, joins } = planRun(engine, [source], branches, { annotations });
    run.seal();
    const outcomes = await Promise.allSettled(joins);
    await finished;
    await engine.idle();
    return outcomes;
  }

  async function only(driver: DestinationDriver) {
    const { sets } = await listBackupSets(driver, { prefix: 'sets', signal });
    const [set] = sets;
    assert.ok(set !== undefined && sets.length === 1);
    return set;
  }

  it('stands beside every set, and in no checksum file', async () => {
    const [a, b] = [await folder(), await folder()];
    const wanted = { tags: ['pre-migration', 'v1'], note: 'before the move', pinned: true };
    await run(wanted, a.driver, b.driver);
    for (const { driver, root } of [a, b]) {
      const set = await only(driver);
      const { value, error } = await readAnnotations(driver, set.path, { signal });
      assert.equal(error, undefined);
      assert.deepEqual({ tags: value.tags, note: value.note, pinned: value.pinned }, wanted);
      assert.doesNotMatch(await readFile(join(root, set.path, 'SHA256SUMS'), 'utf8'), /annotations/);
    }
  });

  it('is there before the set is: one whose annotations are refused is none', async () => {
    const [a, b] = [await folder(), await folder()];
    const faulty = new FaultyDestination(a.driver, {
      file: 'annotations.json',
      kind: 'commit-error',
      times: 9,
    });
    const [first, second] = await run({ pinned: true }, faulty, b.driver);
    assert.equal(first?.status, 'rejected');
    assert.equal(second?.status, 'fulfilled');
    assert.deepEqual((await listBackupSets(a.driver, { prefix: 'sets', signal })).sets, []);
  });

  it('stands beside copies that were read back, whether they hold or not', async () => {
    const [a, b] = [await folder(), await folder()];
    const rotten: DestinationDriver = {
      ...a.driver,
      write: async (path, bytes, options) => {
        const pending = await a.driver.write(path, bytes, options);
        const commit = async () => {
          await pending.commit();
          if (path.endsWith('manifest.json'))
            await truncate(join(a.root, dirname(path), 'orders.txt'), 99_999);
        };
        return { bytes: pending.bytes, commit, abort: () => pending.abort() };
      },
    };
    const engine = new BackupEngine({ host: 'test-host', clock: new TestClock(), ...ONE_COPY });
    const damaged: VerifiedSet[] = [];
    engine.events.on('setVerified', (set) => damaged.push(set));
    const source = new ScriptedSource({ name: 'orders', bytes: 100_000 });
    const branches = [rotten, b.driver].map((to, index) => ({ to, name: `d${index}` }));
    const { run, joins } = planRun(engine, [source], branches, {
      needs: { destinations: 'copies', copies: 2 },
    });
    run.seal();
    await Promise.allSettled(joins);
    await engine.idle();

    const [bad, good] = await Promise.all([a, b].map(({ driver }) => only(driver)));
    const said = await Promise.all(
      [bad, good].map((set) => annotationsOf(set ?? assert.fail(), { signal }).then(({ value }) => value)),
    );
    assert.deepEqual(
      said.map(({ verifications }) => verifications.map(({ level, ok }) => [level, ok])),
      [[['hash', false]], [['hash', true]]],
    );
    assert.match(said[0]?.knownBad?.reason ?? '', /only 99999/);
    assert.equal(said[1]?.knownBad, undefined);
    assert.deepEqual(damaged.map(({ node, job, path, error }) => [node, job, path, error?.code]).toSorted(), [
      ['d0', 'shop', bad?.path, 'incomplete'],
      ['d1', 'shop', good?.path, undefined],
    ]);
  });

  it('stays bad while the manifest is not the one that was stored, though all holds by it', async () => {
    const { driver, root } = await folder();
    const manifestOf = (path: string) => join(root, dirname(path), 'manifest.json');
    let stored = Buffer.alloc(0);
    const altered: DestinationDriver = {
      ...driver,
      write: async (path, bytes, options) => {
        const pending = await driver.write(path, bytes, options);
        const commit = async () => {
          await pending.commit();
          if (!path.endsWith('manifest.json')) return;
          stored = await readFile(manifestOf(path));
          await writeFile(manifestOf(path), stored.toString().replace('test-host', 'best-host'));
        };
        return { bytes: pending.bytes, commit, abort: () => pending.abort() };
      },
    };
    const engine = new BackupEngine({ host: 'test-host', clock: new TestClock(), ...ONE_COPY });
    const source = new ScriptedSource({ name: 'orders', bytes: 1000 });
    const { run, joins } = planRun(engine, [source], [{ to: altered, name: 'd0' }], {
      needs: { destinations: 'copies', copies: 1 },
    });
    run.seal();
    await Promise.allSettled(joins);
    await engine.idle();

    const verified = async () => {
      const set = await only(driver);
      const report = await verifySet({ set, level: 'hash', keys: EMPTY_KEY_RING, signal });
      return { path: set.path, ...(await recordVerification(set, report, { signal })) };
    };
    const { path, verdict, stillBad } = await verified();
    assert.equal(verdict, 'good');
    assert.match(stillBad ?? '', /is not the manifest that was stored; .* must be the one that was stored$/);
    await writeFile(join(root, path, 'manifest.json'), stored);
    assert.equal((await verified()).stillBad, undefined);
    assert.equal((await readAnnotations(driver, path, { signal })).value.knownBad, undefined);
  });

  it('is told to a destination that gets its set from another one', async () => {
    const [a, b] = [await folder(), await folder()];
    const faulty = new FaultyDestination(a.driver, { file: 'orders', kind: 'error', times: 1 });
    const outcomes = await run({ pinned: true }, faulty, b.driver);
    assert.ok(outcomes.every(({ status }) => status === 'fulfilled'));
    const set = await only(a.driver);
    assert.equal((await readAnnotations(a.driver, set.path, { signal })).value.pinned, true);
  });
});
