import assert from 'node:assert/strict';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { BackupEngine } from '../../lib/engine/backup-engine.ts';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import type { RunResult } from '../../lib/runs/outcome.ts';
import { createChecksum } from '../../lib/transforms/checksum.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import type { Transform } from '../../lib/transforms/transform.ts';
import { filesBelow, ONE_COPY, planRun, runEngine, useLocalFolders } from '../support/engine-run.ts';
import { FaultyDestination } from '../support/faulty-destination.ts';
import { faultyTransform, type TransformFault } from '../support/faulty-transform.ts';
import { ScriptedSource } from '../support/scripted-source.ts';
import { until } from '../support/until.ts';

const MIB = 1024 * 1024;
const signal = new AbortController().signal;

describe('engine: what is visible, and when', () => {
  const folder = useLocalFolders();
  const visible = async (root: string) =>
    (await filesBelow(root)).filter((file) => !/(^|\/)\.[^/]*$/.test(file));

  it('keeps the files of a manifest that the storage never acknowledged, and shows no half set', async () => {
    const a = await folder();
    const faulty = new FaultyDestination(a.driver, {
      file: 'manifest.json',
      kind: 'commit-late',
      lateMs: 2500,
    });
    const source = new ScriptedSource({ name: 'one', bytes: MIB });
    const { result } = await runEngine(source, [{ to: faulty, name: 'a' }], { stallMs: 1000 });
    assert.equal(result.state, 'failed');
    assert.match(result.destinations[0]?.error?.message ?? '', /did not acknowledge .*manifest\.json/);
    assert.deepEqual((await listBackupSets(a.driver, { prefix: '', signal })).sets, []);
    await until(() => faulty.pending === 0, 120_000);
    const { sets } = await listBackupSets(a.driver, { prefix: '', signal });
    const [set] = sets;
    assert.ok(set !== undefined, 'the storage made the set visible after all');
    assert.ok((await verifySet({ set, level: 'content', keys: EMPTY_KEY_RING, signal })).ok);
  });

  it('removes an artifact that becomes visible when nobody counts on it any more', async () => {
    const a = await folder();
    const faulty = new FaultyDestination(a.driver, { file: 'one', kind: 'commit-late', lateMs: 2500 });
    const source = new ScriptedSource({ name: 'one', bytes: MIB });
    const { result } = await runEngine(source, [{ to: faulty, name: 'a' }], { stallMs: 1000, ...ONE_COPY });
    assert.equal(result.state, 'failed');
    await until(() => faulty.pending === 0, 120_000);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.deepEqual(await filesBelow(a.root), []);
  });

  it('removes everything of a set whose last commit was refused, even when it took place', async () => {
    for (const kind of ['commit-error', 'commit-lost'] as const) {
      const a = await folder();
      const faulty = new FaultyDestination(a.driver, { file: 'manifest.json', kind });
      const source = new ScriptedSource({ name: 'one', bytes: MIB });
      const { result } = await runEngine(source, [{ to: faulty, name: 'a' }], {
        retries: { destinationAttempts: 1 },
      });
      assert.equal(result.state, 'failed');
      assert.deepEqual(await filesBelow(a.root), [], kind);
    }
  });

  it('keeps the artifacts of a manifest that can be neither acknowledged nor removed', async () => {
    const a = await folder();
    const faulty = new FaultyDestination(a.driver, { file: 'manifest.json', kind: 'commit-lost' });
    faulty.removesNothing = true;
    const source = new ScriptedSource({ name: 'one', bytes: MIB });
    const { result } = await runEngine(source, [{ to: faulty, name: 'a' }]);
    assert.equal(result.state, 'failed');
    const { sets } = await listBackupSets(a.driver, { prefix: '', signal });
    const [set] = sets;
    assert.ok(set !== undefined);
    assert.ok((await verifySet({ set, level: 'content', keys: EMPTY_KEY_RING, signal })).ok);
  });

  it('says truly what there is when it is cancelled between two manifests', async () => {
    const [a, b] = [await folder(), await folder()];
    const hung = new FaultyDestination(b.driver, { file: 'manifest.json', kind: 'commit-hang' });
    const engine = new BackupEngine();
    const finished: RunResult[] = [];
    engine.events.on('finished', (result) => finished.push(result));
    const { run, joins } = planRun(
      engine,
      [new ScriptedSource({ name: 'one', bytes: MIB })],
      [
        { to: a.driver, name: 'a' },
        { to: hung, name: 'b' },
      ],
    );
    run.seal();
    const isThere = async () => (await visible(a.root)).some((file) => file.endsWith('manifest.json'));
    while (!(await isThere())) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.ok(engine.cancel(run.id, 'a person asked'));
    const [atA, atB] = await Promise.allSettled(joins);
    await engine.idle();
    assert.equal(atA?.status, 'fulfilled');
    assert.ok(atB?.status === 'rejected' && /cancelled: a person asked/.test(String(atB.reason)));
    assert.deepEqual(
      finished.map(({ state }) => state),
      ['cancelled'],
    );
    assert.equal((await listBackupSets(a.driver, { prefix: '', signal })).sets.length, 1);
    assert.equal((await listBackupSets(b.driver, { prefix: '', signal })).sets.length, 0);
    await hung.release();
  });

  it('has succeeded when the cancellation comes after everything is stored', async () => {
    const a = await folder();
    const engine = new BackupEngine({
      journal: {
        opened: async () => undefined,
        state: async () => undefined,
        finished: async ({ runId }) => assert.equal(engine.cancel(runId, 'too late'), false),
      },
    });
    const finished: RunResult[] = [];
    engine.events.on('finished', (result) => finished.push(result));
    const { run } = planRun(
      engine,
      [new ScriptedSource({ name: 'one', bytes: MIB })],
      [{ to: a.driver, name: 'a' }],
    );
    run.seal();
    await engine.idle();
    assert.deepEqual(
      finished.map(({ state }) => state),
      ['succeeded'],
    );
  });

  it('can be cancelled while a storage does not answer what it holds', async () => {
    const a = await folder();
    const mute = { ...a.driver, stat: () => new Promise<undefined>(() => undefined) };
    const engine = new BackupEngine();
    const { run, joins } = planRun(
      engine,
      [new ScriptedSource({ name: 'one', bytes: MIB })],
      [{ to: mute, name: 'a' }],
    );
    run.seal();
    setTimeout(() => engine.cancel(run.id, 'test'), 500);
    await assert.rejects(Promise.all(joins), { code: 'aborted' });
    await engine.idle();
    assert.deepEqual((await listBackupSets(a.driver, { prefix: '', signal })).sets, []);
  }).timeout(30_000);

  it('ends a source that hangs when its last destination has gone', async () => {
    const a = await folder();
    const faulty = new FaultyDestination(a.driver, { file: 'one', kind: 'error', afterBytes: MIB });
    const source = new ScriptedSource({ name: 'one', bytes: 8 * MIB, hangsAfter: 4 * MIB });
    const { result } = await runEngine(source, [{ to: faulty, name: 'a' }], ONE_COPY);
    assert.equal(result.state, 'failed');
    assert.equal(source.open, 0);
    assert.match(result.artifacts[0]?.error?.message ?? '', /No destination was left to take one/);
  });

  it('can be cancelled while a source owes its proof', async () => {
    const a = await folder();
    const source = new ScriptedSource({ name: 'one', bytes: MIB, proofHangs: true });
    const engine = new BackupEngine();
    const { run, joins } = planRun(engine, [source], [{ to: a.driver, name: 'a' }]);
    run.seal();
    setTimeout(() => engine.cancel(run.id, 'test'), 300);
    await assert.rejects(Promise.all(joins), { code: 'aborted' });
    await engine.idle();
    assert.deepEqual([source.open, await filesBelow(a.root)], [0, []]);
  });

  const faults: TransformFault[] = ['opens-not', 'fails', 'dies', 'stops', 'no-record'];
  for (const fault of faults) {
    it(`blames a transform that goes wrong (${fault}), and stores at its siblings`, async () => {
      const [good, bad, deep] = [await folder(), await folder(), await folder()];
      const broken = { node: 'broken', transform: faultyTransform(fault, 100_000) };
      const zstd = { node: 'zstd', transform: createCompress({ level: 1 }) };
      const checksum = (node: string) => ({ node, transform: createChecksum() });
      const source = new ScriptedSource({ name: 'one', bytes: 24 * MIB });
      const { result } = await runEngine(source, [
        { to: good.driver, name: 'good', steps: [zstd] },
        { to: bad.driver, name: 'bad', steps: [zstd, broken] },
        { to: deep.driver, name: 'deep', steps: [zstd, checksum('c1'), broken, checksum('c2')] },
      ]);
      assert.equal(result.state, 'partial');
      assert.deepEqual(
        result.destinations.map(({ set }) => set !== undefined),
        [true, false, false],
      );
      assert.match(result.destinations[1]?.error?.message ?? '', /transform|broken/);
      assert.deepEqual(await filesBelow(bad.root), []);
      assert.equal(source.open, 0);
    });
  }

  it('refuses a manifest that nobody could read, before the set is visible', async () => {
    const a = await folder();
    const liar: Transform = {
      ...createChecksum(),
      forward: (input) => ({
        output: input,
        record: () => ({ kind: 'compress', algorithm: 'zstd', level: Number.NaN }),
      }),
    };
    const source = new ScriptedSource({ name: 'one', bytes: MIB });
    const { result } = await runEngine(source, [
      { to: a.driver, name: 'a', steps: [{ node: 'liar', transform: liar }] },
    ]);
    assert.match(result.destinations[0]?.error?.message ?? '', /manifest of set .* cannot be written/);
    assert.deepEqual(await filesBelow(a.root), []);
  });
});
