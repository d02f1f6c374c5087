import assert from 'node:assert/strict';
import { isStored } from '../../lib/backupset/manifest.ts';
import { BackupEngine } from '../../lib/engine/backup-engine.ts';
import type { EngineEvents } from '../../lib/runs/outcome.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import {
  filesBelow,
  planRun,
  type RunOptions,
  runEngine,
  TestClock,
  useLocalFolders,
} from '../support/engine-run.ts';
import { FaultyDestination } from '../support/faulty-destination.ts';
import { type Script, ScriptedSource } from '../support/scripted-source.ts';

const MIB = 1024 * 1024;

describe('engine: databases that are dumped again', () => {
  const folder = useLocalFolders();
  const two: Script = { name: 'two', bytes: 2 * MIB };

  for (const how of ['start', 'break', 'die', 'proof'] as const) {
    it(`after passing troubles of the source (${how}), when everything else is done`, async () => {
      const [a, b] = [await folder(), await folder()];
      const order: string[] = [];
      const source = new ScriptedSource({ name: 'one', bytes: MIB, passing: { how, times: 2 } }, two);
      source.onDump = async (name) => void order.push(name);
      const clock = new TestClock();
      const { result, notices, outcomes } = await runEngine(
        source,
        [
          { to: a.driver, name: 'a' },
          { to: b.driver, name: 'b' },
        ],
        { clock },
      );
      assert.equal(result.state, 'succeeded', String(result.artifacts[0]?.error));
      assert.deepEqual(order, ['one', 'two', 'one', 'one']);
      assert.equal(
        clock.pauses.reduce((sum, ms) => sum + ms, 0),
        8000 + 16_000,
      );
      const told = notices
        .filter(({ node }) => node === 'source-0')
        .map(({ level, message }) => [level, message]);
      assert.equal(told.length, 2);
      assert.match(told[0]?.join() ?? '', /^warn,one failed: one .*; attempt 2 of 3 in 8 s$/);
      assert.match(told[1]?.join() ?? '', /^warn,one failed: one .*; attempt 3 of 3 in 16 s$/);
      for (const outcome of outcomes.values()) {
        assert.ok(outcome.status === 'fulfilled');
        const files = outcome.value.manifest.artifacts.filter(isStored).map(({ file }) => file);
        assert.deepEqual(files, ['one.txt', 'two.txt'], 'in the order of the listing, with their own names');
      }
      assert.equal(source.open, 0);
    });
  }

  it('fails it once, for all that were to take it, when the troubles do not pass', async () => {
    const a = await folder();
    const source = new ScriptedSource({ name: 'one', bytes: MIB, passing: { how: 'break', times: 99 } }, two);
    const engine = new BackupEngine({ clock: new TestClock() });
    const failures: EngineEvents['artifactFailed'][0][] = [];
    engine.events.on('artifactFailed', (failure) => failures.push(failure));
    const { run, joins } = planRun(engine, [source], [{ to: a.driver, name: 'a' }]);
    run.seal();
    const stored = await joins[0];
    await engine.idle();
    assert.deepEqual([...source.dumps.values()], [3, 1]);
    assert.deepEqual(
      failures.map(({ error }) => error.message),
      ['one broke (after 3 attempts)'],
    );
    assert.deepEqual(
      stored?.manifest.artifacts.map(({ status }) => status),
      ['failed', 'ok'],
    );
    assert.ok((await filesBelow(a.root)).every((file) => !file.includes('one')));
  });

  it('dumps nothing again whose failure is permanent', async () => {
    const a = await folder();
    const source = new ScriptedSource({ name: 'one', bytes: MIB, breaksAfter: 1000 }, two);
    const clock = new TestClock();
    const { result } = await runEngine(source, [{ to: a.driver, name: 'a' }], { clock });
    assert.equal(result.state, 'partial');
    assert.deepEqual([[...source.dumps.values()], clock.pauses], [[1, 1], []]);
    assert.equal(result.artifacts[0]?.error?.message, 'one broke');
  });

  it('asks again for databases that cannot be listed in passing', async () => {
    const a = await folder();
    const source = new ScriptedSource({ name: 'one', bytes: MIB, listingFailures: 2 });
    const { result, notices } = await runEngine(source, [{ to: a.driver, name: 'a' }]);
    assert.equal(result.state, 'succeeded');
    assert.equal(source.listings, 3);
    assert.deepEqual(
      notices.map(({ message }) => message),
      [2, 3].map(
        (attempt) =>
          `source-0 could not list its databases: The server is starting; attempt ${attempt} of 3 in ${8 * (attempt - 1)} s`,
      ),
    );
  });

  it('fails a source alone that cannot list for too long', async () => {
    const a = await folder();
    const starting = new ScriptedSource({ name: 'one', bytes: MIB, listingFailures: 3 });
    const { result } = await runEngine([starting, new ScriptedSource(two)], [{ to: a.driver, name: 'a' }]);
    assert.equal(result.state, 'partial');
    assert.equal(starting.listings, 3);
    assert.deepEqual(
      result.artifacts.map(({ error }) => error?.message),
      ['The server is starting', undefined],
    );
  });

  it('counts the dumps for a destination and for the source together', async () => {
    const a = await folder();
    const faulty = new FaultyDestination(a.driver, { file: 'one', kind: 'error', afterBytes: 1, times: 9 });
    const source = new ScriptedSource({ name: 'one', bytes: MIB, passing: { how: 'start', times: 1 } });
    const { result } = await runEngine(source, [{ to: faulty, name: 'a' }]);
    assert.equal(result.state, 'failed');
    assert.equal(source.dumps.get('one'), 3);
  });

  const siblings = async (options: RunOptions = {}) => {
    const [sealed, plain] = [await folder(), await folder()];
    // A way of its own, so that there is nothing to copy.
    const key = { type: 'passphrase', passphrase: 'correct horse battery' } as const;
    const steps = [{ node: 'encrypt', transform: createEncrypt(key, { format: 'dbk' }) }];
    const faulty = new FaultyDestination(plain.driver, { file: 'one', kind: 'error', afterBytes: 1 });
    const source = new ScriptedSource({ name: 'one', bytes: MIB, goneAfter: 1 }, two);
    const branches = [
      { to: sealed.driver, name: 'sealed', steps },
      { to: faulty, name: 'plain' },
    ];
    return await runEngine(source, branches, options);
  };

  it('keeps at a sibling what cannot be dumped once more for another destination', async () => {
    const { result } = await siblings();
    assert.equal(result.state, 'partial');
    assert.deepEqual(
      result.artifacts.map(({ error }) => error),
      [undefined, undefined],
    );
    assert.deepEqual(
      result.destinations.map(({ set }) => set?.reference.status),
      ['complete', 'partial'],
    );
  });

  it('tells of no failed database in a run that needs no more than what the sibling has', async () => {
    const { result, failures, notices } = await siblings({ needs: { destinations: 'any' } });
    assert.equal(result.state, 'succeeded');
    assert.deepEqual(failures, []);
    assert.ok(notices.some(({ level, message }) => level === 'warn' && /There is no one/.test(message)));
  });
});
