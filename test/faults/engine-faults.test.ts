import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { BackupEngine } from '../../lib/engine/backup-engine.ts';
import { EMPTY_KEY_RING } from '../../lib/keys/keys.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import { filesBelow, ONE_COPY, planRun, runEngine, useLocalFolders } from '../support/engine-run.ts';
import { type Fault, FaultyDestination } from '../support/faulty-destination.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

const MIB = 1024 * 1024;
const signal = new AbortController().signal;
const STALL_MS = 1000;

describe('engine: sinks and sources that fail', () => {
  const folder = useLocalFolders();

  const zstd = () => ({ node: 'zstd', transform: createCompress({ algorithm: 'zstd', level: 1 }) });
  const gzip = () => ({ node: 'gzip', transform: createCompress({ algorithm: 'gzip', level: 1 }) });
  const encrypt = () => ({
    node: 'encrypt',
    transform: createEncrypt({ type: 'passphrase', passphrase: 'correct horse battery' }, { format: 'dbk' }),
  });

  const faults: Fault[] = [
    { file: 'two', kind: 'error', afterBytes: 100_000 },
    { file: 'two', kind: 'hang', afterBytes: 100_000 },
    { file: 'two', kind: 'commit-error' },
    { file: 'two', kind: 'commit-hang' },
    { file: 'two', kind: 'short' },
    { file: 'SHA256SUMS', kind: 'error' },
    { file: 'manifest.json', kind: 'commit-error' },
  ];

  for (const fault of faults) {
    it(`heals a destination with a fault (${fault.kind} at ${fault.file}) from its sibling, without a second dump`, async () => {
      const [good, bad] = [await folder(), await folder()];
      const faulty = new FaultyDestination(bad.driver, { ...fault });
      const source = new ScriptedSource({ name: 'one', bytes: 8 * MIB }, { name: 'two', bytes: 20 * MIB });
      const steps = [zstd()];
      const { result, outcomes } = await runEngine(
        source,
        [
          { to: faulty, name: 'bad', steps },
          { to: good.driver, name: 'good', steps },
        ],
        { stallMs: STALL_MS },
      );
      assert.equal(result.state, 'succeeded', String(result.error ?? result.destinations[0]?.error));
      assert.deepEqual([...source.dumps.values()], [1, 1]);
      const outcome = outcomes.get('bad');
      assert.ok(outcome?.status === 'fulfilled' && outcome.value.healed);
      const { sets } = await listBackupSets(bad.driver, { prefix: 'sets', signal });
      assert.equal(sets.length, 1);
      for (const set of sets) {
        assert.ok((await verifySet({ set, level: 'content', keys: EMPTY_KEY_RING, signal })).ok);
      }
      await faulty.release();
      assert.equal(faulty.pending, 0);
      assert.deepEqual(await filesBelow(bad.root), await filesBelow(good.root));
    });
  }

  it('heals across different steps when nothing has to be decrypted', async () => {
    const [good, bad] = [await folder(), await folder()];
    const faulty = new FaultyDestination(bad.driver, { file: 'one', kind: 'error', afterBytes: 1 });
    const source = new ScriptedSource({ name: 'one', bytes: 6 * MIB });
    const shared = gzip();
    const { result } = await runEngine(source, [
      { to: good.driver, name: 'good', steps: [shared] },
      { to: faulty, name: 'bad', steps: [shared, encrypt()] },
    ]);
    assert.equal(result.state, 'succeeded');
    assert.deepEqual([...source.dumps.values()], [1]);
    const { sets } = await listBackupSets(bad.driver, { prefix: 'sets', signal });
    const [set] = sets;
    assert.ok(set !== undefined);
    const keys = { ...EMPTY_KEY_RING, passphrases: ['correct horse battery'] };
    assert.ok((await verifySet({ set, level: 'content', keys, signal })).ok);
  });

  it('does not heal from an encrypted sibling, and says why the destination failed', async () => {
    const [good, bad] = [await folder(), await folder()];
    const faulty = new FaultyDestination(bad.driver, { file: 'one', kind: 'error', afterBytes: 1 });
    const source = new ScriptedSource({ name: 'one', bytes: 6 * MIB });
    const { result, outcomes } = await runEngine(
      source,
      [
        { to: good.driver, name: 'good', steps: [zstd(), encrypt()] },
        { to: faulty, name: 'bad', steps: [] },
      ],
      ONE_COPY,
    );
    assert.equal(result.state, 'partial');
    const outcome = outcomes.get('bad');
    assert.ok(outcome?.status === 'rejected');
    assert.match(String(outcome.reason), /The storage went away/);
    assert.deepEqual(await filesBelow(bad.root), []);
  });

  it('ends the dump when its only sink fails, and leaves nothing', async () => {
    const bad = await folder();
    const faulty = new FaultyDestination(bad.driver, {
      file: 'one',
      kind: 'error',
      afterBytes: 100_000,
      times: 9,
    });
    const source = new ScriptedSource({ name: 'one', bytes: 64 * MIB }, { name: 'two', bytes: MIB });
    const { result } = await runEngine(source, [{ to: faulty, name: 'bad', steps: [zstd()] }]);
    assert.equal(result.state, 'failed');
    assert.equal(source.open, 0);
    assert.equal(faulty.pending, 0);
    assert.equal(source.dumps.get('two'), undefined, 'no destination is left for the second database');
    assert.deepEqual(await filesBelow(bad.root), []);
    assert.equal(result.destinations[0]?.error?.transient, true);
  });

  it('fails the run when its only sink hangs', async () => {
    const bad = await folder();
    const faulty = new FaultyDestination(bad.driver, { file: 'one', kind: 'hang', afterBytes: 100_000 });
    const source = new ScriptedSource({ name: 'one', bytes: 64 * MIB });
    const { result } = await runEngine(source, [{ to: faulty, name: 'bad' }], {
      stallMs: STALL_MS,
      ...ONE_COPY,
    });
    assert.equal(result.state, 'failed');
    assert.equal(result.destinations[0]?.error?.code, 'stalled');
    assert.equal(source.open, 0);
  });

  it('keeps waiting for a slow source: only the storage can stall', async () => {
    const good = await folder();
    const source = new ScriptedSource({ name: 'one', bytes: 4 * MIB, hangsAfter: 2 * MIB });
    const engine = new BackupEngine({ stallMs: 100 });
    const { run, joins } = planRun(engine, [source], [{ to: good.driver, name: 'good' }]);
    run.seal();
    const state = await Promise.race([
      Promise.allSettled(joins).then(() => 'ended'),
      new Promise((resolve) => setTimeout(() => resolve('waiting'), 600)),
    ]);
    assert.equal(state, 'waiting');
    assert.ok(engine.cancel(run.id, 'test'));
    await assert.rejects(joins[0] ?? Promise.resolve(), { code: 'aborted' });
    await engine.idle();
    assert.equal(source.open, 0);
    assert.deepEqual(await filesBelow(good.root), []);
  });

  it('cancels in the middle: the dump ends, nothing is left, the run is cancelled', async () => {
    const [a, b] = [await folder(), await folder()];
    const source = new ScriptedSource({ name: 'one', bytes: 2 * MIB }, { name: 'two', bytes: 96 * MIB });
    const engine = new BackupEngine();
    const states: string[] = [];
    engine.events.on('state', ({ state }) => states.push(state));
    const { run, joins } = planRun(
      engine,
      [source],
      [
        { to: a.driver, name: 'a', steps: [gzip()] },
        { to: b.driver, name: 'b', bytesPerSecond: 4 * MIB },
      ],
    );
    engine.events.on('progress', ({ database, rawBytes }) => {
      if (database === 'two' && rawBytes > MIB) engine.cancel(run.id, 'a person asked');
    });
    run.seal();
    const outcomes = await Promise.allSettled(joins);
    await engine.idle();
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    assert.equal(states.at(-1), 'cancelled');
    assert.equal(source.open, 0);
    assert.deepEqual([...(await filesBelow(a.root)), ...(await filesBelow(b.root))], []);
  });

  it('refuses to start a run that cannot be journalled', async () => {
    const a = await folder();
    const source = new ScriptedSource({ name: 'one', bytes: MIB });
    const broken = async () => {
      throw new Error('disk I/O error');
    };
    const { result } = await runEngine(source, [{ to: a.driver, name: 'a' }], {
      journal: { opened: broken, state: broken, finished: async () => undefined },
    });
    assert.equal(result.state, 'failed');
    assert.match(result.error?.message ?? '', /could not be journalled: disk I\/O error/);
    assert.equal(source.dumps.size, 0);
  });

  it('refuses new runs during a shutdown and ends the active ones', async () => {
    const a = await folder();
    const source = new ScriptedSource({ name: 'one', bytes: 32 * MIB, hangsAfter: MIB });
    const engine = new BackupEngine();
    const { run, joins } = planRun(engine, [source], [{ to: a.driver, name: 'a' }]);
    run.seal();
    await engine.shutdown('the process is stopping');
    assert.equal((await Promise.allSettled(joins))[0]?.status, 'rejected');
    assert.throws(() => engine.openRun({ job: 'next' }), { code: 'aborted' });
  });

  it('finds each kind of damage of a stored set, and blames the right file', async () => {
    const a = await folder();
    const source = new ScriptedSource({ name: 'one', bytes: 3 * MIB }, { name: 'two', bytes: 3 * MIB });
    await runEngine(source, [{ to: a.driver, name: 'a', steps: [zstd()] }]);
    const file = (await filesBelow(a.root)).find((name) => name.endsWith('one.txt.zst'));
    assert.ok(file !== undefined);
    const path = join(a.root, file);
    const good = await readFile(path);
    const flipped = Buffer.from(good);
    flipped[1000] = (flipped[1000] ?? 0) ^ 1;
    for (const damaged of [
      good.subarray(0, -1),
      flipped,
      Buffer.concat([good, Buffer.from('x')]),
      Buffer.alloc(0),
    ]) {
      await writeFile(path, damaged);
      const { sets } = await listBackupSets(a.driver, { prefix: 'sets', signal });
      const [set] = sets;
      assert.ok(set !== undefined);
      const report = await verifySet({ set, level: 'content', keys: EMPTY_KEY_RING, signal });
      assert.deepEqual(
        report.artifacts.map(({ ok }) => ok),
        [false, true],
      );
    }
  });
});
