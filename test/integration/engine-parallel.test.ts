import assert from 'node:assert/strict';
import { isStored } from '../../lib/backupset/manifest.ts';
import { BackupEngine } from '../../lib/engine/backup-engine.ts';
import type { RunProgress, RunResult } from '../../lib/runs/outcome.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { planRun, runEngine, useLocalFolders } from '../support/engine-run.ts';
import { FaultyDestination } from '../support/faulty-destination.ts';
import { ScriptedSource } from '../support/scripted-source.ts';
import { until } from '../support/until.ts';

const KIB = 1024;
const LANE = 'scripted://parallel';

describe('engine: several databases at a time', () => {
  const folder = useLocalFolders();
  const steps = [{ node: 'zstd', transform: createCompress({ algorithm: 'zstd', level: 1 }) }];

  function source(limit: number, ...names: string[]): ScriptedSource {
    const made = new ScriptedSource(...names.map((name) => ({ name, bytes: 300 * KIB })));
    made.lane = { key: LANE, limit };
    return made;
  }

  /** Lets dumps start only when so many have been asked for at a time. */
  function together(target: ScriptedSource, count: number): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    let asked = 0;
    target.onDump = async () => {
      asked += 1;
      if (asked === count) resolve();
      await promise;
    };
  }

  it('dumps as many as the lane allows, and lists them in the order of the source', async () => {
    const a = await folder();
    const names = ['one', 'two', 'three', 'four', 'five', 'six', 'seven'];
    const parallel = source(3, ...names);
    together(parallel, 3);
    const { result, outcomes } = await runEngine(parallel, [{ to: a.driver, name: 'a', steps }]);
    assert.equal(result.state, 'succeeded', result.error?.message);
    assert.equal(parallel.mostOpen, 3);
    assert.deepEqual(
      result.artifacts.map(({ database }) => database),
      names,
    );
    const outcome = outcomes.get('a');
    assert.ok(outcome?.status === 'fulfilled');
    const files = outcome.value.manifest.artifacts.filter(isStored).map(({ file }) => file);
    assert.deepEqual(
      files,
      names.map((name) => `${name}.txt.zst`),
    );
  });

  it('names files alike whichever dump begins first', async () => {
    const a = await folder();
    const parallel = source(3, 'shop', 'Shop', 'SHOP');
    const order = ['SHOP', 'Shop', 'shop'];
    const begun: string[] = [];
    parallel.onDump = async (name) => {
      await until(() => order[begun.length] === name, 120_000);
      // The next one may begin when this one has its name.
      setTimeout(() => begun.push(name), 50);
    };
    const { outcomes } = await runEngine(parallel, [{ to: a.driver, name: 'a' }]);
    const outcome = outcomes.get('a');
    assert.ok(outcome?.status === 'fulfilled');
    const artifacts = outcome.value.manifest.artifacts.filter(isStored);
    assert.deepEqual(
      artifacts.map(({ database, file }) => [database, file]),
      [
        ['shop', 'shop.txt'],
        ['Shop', 'Shop-2.txt'],
        ['SHOP', 'SHOP-3.txt'],
      ],
    );
  });

  it('shares a lane among runs, and each of them gets on', async () => {
    const [a, b] = [await folder(), await folder()];
    const engine = new BackupEngine();
    const results: RunResult[] = [];
    engine.events.on('finished', (result) => results.push(result));
    const sources = [source(2, 'a1', 'a2', 'a3', 'a4'), source(2, 'b1', 'b2', 'b3', 'b4')];
    let most = 0;
    const begun: string[] = [];
    for (const each of sources) {
      each.onDump = async (name) => {
        begun.push(name);
        await new Promise((resolve) => setImmediate(resolve));
        most = Math.max(
          most,
          sources.reduce((sum, one) => sum + one.open, 1),
        );
      };
    }
    for (const [index, { driver }] of [a, b].entries()) {
      const own = sources[index];
      assert.ok(own !== undefined);
      planRun(engine, [own], [{ to: driver, name: 'd', steps }], { job: `job ${index}` }).run.seal();
    }
    await engine.idle();
    assert.deepEqual(
      results.map(({ state }) => state),
      ['succeeded', 'succeeded'],
    );
    assert.ok(most <= 2, `${most} dumps at a time`);
    const firstOfB = begun.findIndex((name) => name.startsWith('b'));
    assert.ok(
      firstOfB > 0 && firstOfB < 4,
      `the second run had to wait for all of the first: ${begun.join()}`,
    );
  });

  it('keeps the others when some fail, each with its reason', async () => {
    const a = await folder();
    const parallel = new ScriptedSource(
      { name: 'one', bytes: 300 * KIB, breaksAfter: 100 * KIB },
      { name: 'two', bytes: 300 * KIB },
      { name: 'three', bytes: 300 * KIB, refusesToStart: true },
      { name: 'four', bytes: 300 * KIB, proofFails: true },
      { name: 'five', bytes: 300 * KIB },
    );
    parallel.lane = { key: LANE, limit: 5 };
    together(parallel, 5);
    const { result, outcomes } = await runEngine(parallel, [{ to: a.driver, name: 'a', steps }]);
    assert.equal(result.state, 'partial');
    const outcome = outcomes.get('a');
    assert.ok(outcome?.status === 'fulfilled');
    assert.deepEqual(
      outcome.value.manifest.artifacts.map(({ database, status }) => `${database} ${status}`),
      ['one failed', 'two ok', 'three failed', 'four failed', 'five ok'],
    );
    assert.deepEqual(
      result.artifacts.map(({ error }) => error?.message),
      ['one broke', undefined, 'three refuses to start', 'four has no end marker', undefined],
    );
  });

  it('heals a destination that one of several dumps at a time has lost', async () => {
    const [a, b] = [await folder(), await folder()];
    const parallel = source(3, 'one', 'two', 'three');
    together(parallel, 3);
    const faulty = new FaultyDestination(b.driver, { file: 'two', kind: 'error', afterBytes: 1 });
    const { result, outcomes } = await runEngine(parallel, [
      { to: a.driver, name: 'a' },
      { to: faulty, name: 'b' },
    ]);
    assert.equal(result.state, 'succeeded');
    const outcome = outcomes.get('b');
    assert.ok(outcome?.status === 'fulfilled' && outcome.value.healed);
    assert.equal(outcome.value.manifest.artifacts.length, 3);
    assert.equal(faulty.pending, 0);
  });

  it('writes no more files at a time than a destination takes', async () => {
    const a = await folder();
    const parallel = source(4, 'one', 'two', 'three', 'four');
    const narrow = Object.create(a.driver, {
      properties: { value: { ...a.driver.properties, concurrency: 2 } },
    }) as typeof a.driver;
    together(parallel, 2);
    const { result } = await runEngine(parallel, [{ to: narrow, name: 'a' }]);
    assert.equal(result.state, 'succeeded');
    assert.equal(parallel.mostOpen, 2);
  });

  it('is cancelled as a whole, also while it waits for its turn', async () => {
    const [a, b] = [await folder(), await folder()];
    const engine = new BackupEngine();
    const results: RunResult[] = [];
    engine.events.on('finished', (result) => results.push(result));
    const holder = new ScriptedSource(
      { name: 'one', bytes: 300 * KIB, hangsAfter: 100 * KIB },
      { name: 'two', bytes: 300 * KIB, hangsAfter: 0 },
    );
    holder.lane = { key: LANE, limit: 2 };
    const waiter = source(2, 'three', 'four');
    const runs = [holder, waiter].map((each, index) => {
      const to = (index === 0 ? a : b).driver;
      return planRun(engine, [each], [{ to, name: 'd' }], { job: `job ${index}` }).run;
    });
    runs[0]?.seal();
    await until(() => holder.open === 2, 120_000);
    runs[1]?.seal();
    await until(() => engine.activeRuns().every(({ state }) => state === 'running'), 120_000);
    assert.ok(engine.cancel(runs[1]?.id ?? '', 'enough'));
    await until(() => results.length === 1, 120_000);
    assert.equal(waiter.dumps.size, 0);
    assert.ok(engine.cancel(runs[0]?.id ?? '', 'enough'));
    await engine.idle();
    assert.deepEqual(
      results.map(({ state }) => state),
      ['cancelled', 'cancelled'],
    );
    assert.equal(holder.open, 0);
  });

  it('keeps the rate of a destination over all of them', async () => {
    const a = await folder();
    const parallel = source(3, 'one', 'two', 'three');
    together(parallel, 3);
    const started = performance.now();
    await runEngine(parallel, [{ to: a.driver, name: 'a', bytesPerSecond: 900 * KIB }]);
    const seconds = (performance.now() - started) / 1000;
    // 900 KiB; the first piece of each goes at once.
    assert.ok(seconds > 0.5, `${seconds} s`);
  });

  it('tells of all of them while they go on', async () => {
    const a = await folder();
    const engine = new BackupEngine();
    const told: RunProgress[] = [];
    engine.events.on('progress', (progress) => told.push(progress));
    const parallel = source(2, 'one', 'two', 'three');
    together(parallel, 2);
    const { run } = planRun(engine, [parallel], [{ to: a.driver, name: 'a' }]);
    run.seal();
    await engine.idle();
    assert.ok(
      told.some(({ database, index, count }) => database === '2 databases' && index === 2 && count === 3),
    );
    assert.equal(told.at(-1)?.index, 3);
  });

  it('passes on what was noticed while listing', async () => {
    const a = await folder();
    const warned = new ScriptedSource({
      name: 'one',
      bytes: KIB,
      warnings: ['tables are not transactional'],
    });
    const { notices, outcomes } = await runEngine(warned, [{ to: a.driver, name: 'a' }]);
    assert.deepEqual(
      notices.map(({ level, message, node }) => [level, message, node]),
      [['warn', 'one: tables are not transactional', 'source-0']],
    );
    const outcome = outcomes.get('a');
    assert.ok(outcome?.status === 'fulfilled');
    const [artifact] = outcome.value.manifest.artifacts;
    assert.ok(artifact?.status === 'ok');
    assert.deepEqual(artifact.warnings, ['tables are not transactional']);
  });
});
