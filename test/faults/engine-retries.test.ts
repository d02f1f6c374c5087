import assert from 'node:assert/strict';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import { isStored } from '../../lib/backupset/manifest.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { BackupEngine } from '../../lib/engine/backup-engine.ts';
import { BackupError, type ErrorCode } from '../../lib/errors.ts';
import { verifySet } from '../../lib/restore/verify.ts';
import type { RunProgress, RunResult } from '../../lib/runs/outcome.ts';
import { createCompress } from '../../lib/transforms/compress.ts';
import { createEncrypt } from '../../lib/transforms/encrypt.ts';
import { filesBelow, planRun, runEngine, TestClock, useLocalFolders } from '../support/engine-run.ts';
import { type Fault, FaultyDestination } from '../support/faulty-destination.ts';
import { ScriptedSource } from '../support/scripted-source.ts';

const MIB = 1024 * 1024;
const signal = new AbortController().signal;
const PASSPHRASE = 'correct horse battery';
const keys = { vaultKey: async () => undefined, passphrases: [PASSPHRASE], ageIdentities: [] };
/** What is waited before attempts 2 to 5 when the dice always show the middle, in ms. */
const PAUSES = [8000, 16_000, 32_000, 60_000];

describe('engine: what is tried again', () => {
  const folder = useLocalFolders();
  const source = () => new ScriptedSource({ name: 'one', bytes: 2 * MIB }, { name: 'two', bytes: 3 * MIB });
  const zstd = () => ({ node: 'zstd', transform: createCompress({ algorithm: 'zstd', level: 1 }) });
  const encrypt = () => ({
    node: 'encrypt',
    transform: createEncrypt({ type: 'passphrase', passphrase: PASSPHRASE }, { format: 'dbk' }),
  });

  /** There is one set, it holds, and nothing is beside it. */
  async function assertWhole(
    driver: DestinationDriver,
    root: string,
    files: readonly string[],
  ): Promise<void> {
    const { sets, unreadable } = await listBackupSets(driver, { prefix: 'sets', signal });
    assert.deepEqual([sets.length, unreadable], [1, []]);
    for (const set of sets) {
      const report = await verifySet({ set, level: 'content', keys, signal });
      assert.ok(report.ok, report.artifacts.map(({ error }) => error?.message).join());
    }
    const names = (await filesBelow(root))
      .map((file) => file.replace(/^.*\//, ''))
      .filter((name) => name !== 'SHA256SUMS.decoded');
    assert.deepEqual(names, ['RESTORE.md', 'SHA256SUMS', 'manifest.json', ...files].sort());
  }

  function total(pauses: readonly number[]): number {
    return pauses.reduce((sum, ms) => sum + ms, 0);
  }

  describe('with one destination', () => {
    const faults: readonly (Fault & { dumps: readonly number[] })[] = [
      { file: 'two', kind: 'error', afterBytes: 100_000, dumps: [1, 2] },
      { file: 'two', kind: 'short', dumps: [1, 2] },
      { file: 'two', kind: 'hang', afterBytes: 100_000, dumps: [1, 2] },
      { file: 'two', kind: 'commit-error', dumps: [1, 2] },
      { file: 'two', kind: 'commit-lost', dumps: [1, 2] },
      { file: 'one', kind: 'error', afterBytes: 1, dumps: [2, 1] },
      { file: 'SHA256SUMS', kind: 'error', dumps: [1, 1] },
      { file: 'RESTORE.md', kind: 'commit-lost', dumps: [1, 1] },
      { file: 'manifest.json', kind: 'commit-error', dumps: [1, 1] },
      { file: 'manifest.json', kind: 'commit-lost', dumps: [1, 1] },
    ];
    for (const { dumps, ...fault } of faults) {
      it(`dumps again what it lacks, and only that (${fault.kind} at ${fault.file})`, async () => {
        const { root, driver } = await folder();
        const faulty = new FaultyDestination(driver, fault);
        const scripted = source();
        const clock = new TestClock();
        const only = { to: faulty, name: 'only' };
        const { result, notices } = await runEngine(scripted, [only], { clock, ...stallAt(fault) });
        assert.equal(result.state, 'succeeded', String(result.destinations[0]?.error));
        assert.deepEqual([...scripted.dumps.values()], dumps);
        assert.equal(result.rawBytes, 5 * MIB, 'a database counts once');
        assert.deepEqual(
          result.artifacts.map(({ error }) => error),
          [undefined, undefined],
        );
        assert.equal(result.destinations[0]?.attempts, 2);
        assert.equal(total(clock.pauses), PAUSES[0]);
        assert.ok(
          notices.some(({ message }) => /^only gets another dump: attempt 2 of \d in 8 s$/.test(message)),
        );
        assert.ok(notices.some(({ message }) => message === 'only has stored its set at attempt 2'));
        await assertWhole(driver, root, ['one.txt', 'two.txt']);
        assert.equal(faulty.pending, 0);
      });
    }

    it('tells of the good dump in the manifest, not of the failed one', async () => {
      const { driver } = await folder();
      const faulty = new FaultyDestination(driver, { file: 'one', kind: 'error', afterBytes: 1 });
      let failedAt = '';
      const clock = new TestClock();
      clock.onPause = async () => {
        failedAt ||= new Date(clock.now()).toISOString();
      };
      const { outcomes } = await runEngine(source(), [{ to: faulty, name: 'only' }], { clock });
      const outcome = outcomes.get('only');
      assert.ok(outcome?.status === 'fulfilled');
      const artifacts = outcome.value.manifest.artifacts.filter(isStored);
      assert.deepEqual(
        artifacts.map(({ file }) => file),
        ['one.txt', 'two.txt'],
      );
      const [one] = artifacts;
      assert.ok(one !== undefined && one.startedAt > failedAt, `${one?.startedAt} is not after ${failedAt}`);
      assert.equal(one.raw.bytes, 2 * MIB);
    });

    it('gives up when a database was dumped as often as a run may, and leaves nothing', async () => {
      const { root, driver } = await folder();
      const faulty = new FaultyDestination(driver, { file: 'two', kind: 'error', afterBytes: 1, times: 99 });
      const scripted = source();
      const clock = new TestClock();
      const { result } = await runEngine(scripted, [{ to: faulty, name: 'only' }], { clock });
      assert.equal(result.state, 'failed');
      assert.deepEqual([...scripted.dumps.values()], [1, 3]);
      assert.equal(total(clock.pauses), total(PAUSES.slice(0, 2)));
      assert.match(result.destinations[0]?.error?.message ?? '', /^The storage went away \(attempt 3\)$/);
      assert.deepEqual(await filesBelow(root), []);
    });

    it('dumps nothing again after errors that do not pass', async () => {
      for (const code of ['permission', 'invalid-config', 'no-space', 'not-found', 'internal'] as const) {
        const { root, driver } = await folder();
        const scripted = source();
        const clock = new TestClock();
        const to = refusing(driver, 'two', new BackupError(code, 'It is refused'));
        const { result } = await runEngine(scripted, [{ to, name: 'only' }], { clock });
        assert.equal(result.state, 'failed');
        assert.deepEqual([[...scripted.dumps.values()], clock.pauses], [[1, 1], []], code);
        assert.equal(result.destinations[0]?.error?.message, 'It is refused');
        assert.deepEqual(await filesBelow(root), []);
      }
    });

    it('does not write where a manifest may still appear by itself', async () => {
      const { driver } = await folder();
      const faulty = new FaultyDestination(driver, { file: 'manifest.json', kind: 'commit-hang' });
      const clock = new TestClock();
      const { result } = await runEngine(source(), [{ to: faulty, name: 'only' }], { clock, stallMs: 3000 });
      assert.equal(result.state, 'failed');
      assert.deepEqual(clock.pauses, []);
      await faulty.release();
    });

    it('replaces no set that is not ours', async () => {
      const { driver } = await folder();
      const faulty = new FaultyDestination(driver, { file: 'manifest.json', kind: 'commit-lost' });
      faulty.removesNothing = true;
      const { result } = await runEngine(source(), [{ to: faulty, name: 'only' }]);
      assert.equal(result.state, 'failed');
      assert.match(result.destinations[0]?.error?.message ?? '', /did not remove .*manifest\.json/);
      const { sets } = await listBackupSets(driver, { prefix: 'sets', signal });
      for (const set of sets) assert.ok((await verifySet({ set, level: 'content', keys, signal })).ok);
    });

    it('shows what it waits for, and never more than all of a database or of the run', async () => {
      const { driver } = await folder();
      const faulty = new FaultyDestination(driver, {
        file: 'two',
        kind: 'error',
        afterBytes: 2 * MIB,
        times: 2,
      });
      const engine = new BackupEngine({ clock: new TestClock(), random: () => 0.5 });
      const told: RunProgress[] = [];
      engine.events.on('progress', (progress) => told.push(progress));
      const { run } = planRun(engine, [source()], [{ to: faulty, name: 'only' }]);
      run.seal();
      await engine.idle();
      const seconds = told.flatMap(({ retry }) => (retry?.attempt === 2 ? [retry.seconds] : []));
      assert.deepEqual(seconds, [8, 7, 6, 5, 4, 3, 2, 1]);
      const [first] = told.flatMap(({ retry }) => retry ?? []);
      assert.deepEqual(first, { nodes: ['only'], attempt: 2, attempts: 3, seconds: 8 });
      assert.ok(told.every(({ stage, retry }) => (stage === 'waiting') === (retry !== undefined)));
      assert.ok(told.every(({ rawBytes, expectedBytes }) => rawBytes <= (expectedBytes ?? rawBytes)));
      assert.ok(told.every(({ index, count }) => index <= count));
    });

    it('ends at once when it is cancelled while it waits', async () => {
      const { root, driver } = await folder();
      const faulty = new FaultyDestination(driver, { file: 'two', kind: 'error', afterBytes: 1 });
      const engine = new BackupEngine({ retries: { pauses: { firstMs: 3_600_000, longestMs: 3_600_000 } } });
      const results: RunResult[] = [];
      engine.events.on('finished', (result) => results.push(result));
      const { run, joins } = planRun(engine, [source()], [{ to: faulty, name: 'only' }]);
      engine.events.on('progress', ({ stage }) => {
        if (stage === 'waiting') engine.cancel(run.id, 'a person asked');
      });
      run.seal();
      await assert.rejects(Promise.all(joins), /a person asked|The storage went away/);
      await engine.idle();
      assert.deepEqual([results.map(({ state }) => state), await filesBelow(root)], [['cancelled'], []]);
    });
  });

  describe('with siblings', () => {
    it('copies from one again and again, after pauses that grow, and keeps what it has copied', async () => {
      const [good, bad] = [await folder(), await folder()];
      const faulty = new FaultyDestination(
        bad.driver,
        { file: 'two', kind: 'error', afterBytes: 1, times: 3 },
        { file: 'one', kind: 'error', afterBytes: 1 },
      );
      const writes: string[] = [];
      const counted = counting(faulty, writes);
      const scripted = source();
      const clock = new TestClock();
      const steps = [zstd()];
      const { result, notices } = await runEngine(
        scripted,
        [
          { to: good.driver, name: 'good', steps },
          { to: counted, name: 'bad', steps },
        ],
        { clock },
      );
      assert.equal(result.state, 'succeeded', String(result.destinations[1]?.error));
      assert.deepEqual([...scripted.dumps.values()], [1, 1]);
      assert.deepEqual(
        result.destinations.map(({ attempts, set }) => [attempts, set?.healed]),
        [
          [undefined, false],
          [5, true],
        ],
      );
      assert.deepEqual(
        writes.filter((file) => /txt/.test(file)),
        ['one.txt.zst', 'one.txt.zst', ...Array<string>(4).fill('two.txt.zst')],
      );
      assert.equal(total(clock.pauses), total(PAUSES));
      for (const [attempt, seconds] of [2, 3, 4, 5].map((at, index) => [at, (PAUSES[index] ?? 0) / 1000])) {
        const text = `bad gets a copy from good: attempt ${attempt} of 5 in ${seconds} s`;
        assert.ok(
          notices.some(({ message }) => message === text),
          text,
        );
      }
      await assertWhole(bad.driver, bad.root, ['one.txt.zst', 'two.txt.zst']);
    });

    it('is partial when the last attempt has failed too, tells both errors, and leaves nothing', async () => {
      const [good, bad] = [await folder(), await folder()];
      const faulty = new FaultyDestination(bad.driver, {
        file: 'two',
        kind: 'error',
        afterBytes: 1,
        times: 99,
      });
      const clock = new TestClock();
      const { result } = await runEngine(
        source(),
        [
          { to: good.driver, name: 'good' },
          { to: faulty, name: 'bad' },
        ],
        { clock },
      );
      assert.equal(result.state, 'partial');
      assert.equal(total(clock.pauses), total(PAUSES));
      assert.equal(
        result.destinations[1]?.error?.message,
        'The storage went away. Copying from good failed too (attempt 5): The storage went away',
      );
      assert.deepEqual(await filesBelow(bad.root), []);
      await assertWhole(good.driver, good.root, ['one.txt', 'two.txt']);
    });

    const attempts: readonly (readonly [ErrorCode, number])[] = [
      ['permission', 1],
      ['invalid-config', 1],
      ['already-exists', 1],
      ['no-space', 2],
      ['not-found', 2],
      ['corrupt', 2],
    ];
    for (const [code, times] of attempts) {
      it(`writes ${times === 1 ? 'never again' : 'once more'} after ${code}`, async () => {
        const [good, bad] = [await folder(), await folder()];
        const writes: string[] = [];
        const error = new BackupError(code, 'It is refused');
        const { result } = await runEngine(new ScriptedSource({ name: 'one', bytes: MIB }), [
          { to: good.driver, name: 'good' },
          { to: counting(refusing(bad.driver, 'one', error), writes), name: 'bad' },
        ]);
        assert.equal(result.state, 'partial');
        assert.equal(result.destinations[1]?.error?.code, code);
        assert.deepEqual(writes, Array<string>(times).fill('one.txt'));
      });
    }

    it('dumps again for the one alone that no sibling has a copy for', async () => {
      const [sealed, plain] = [await folder(), await folder()];
      const faulty = new FaultyDestination(plain.driver, { file: 'two', kind: 'error', afterBytes: 1 });
      const writes: string[] = [];
      const scripted = source();
      const { result } = await runEngine(scripted, [
        { to: counting(sealed.driver, writes), name: 'sealed', steps: [encrypt()] },
        { to: faulty, name: 'plain' },
      ]);
      assert.equal(result.state, 'succeeded', String(result.destinations[1]?.error));
      assert.deepEqual([...scripted.dumps.values()], [1, 2]);
      assert.deepEqual(
        result.destinations.map(({ attempts: times, set }) => [times, set?.healed]),
        [
          [undefined, false],
          [2, false],
        ],
      );
      assert.equal(result.rawBytes, 5 * MIB, 'a database counts once');
      assert.equal(writes.length, new Set(writes).size, 'what has its set gets nothing again');
      await assertWhole(sealed.driver, sealed.root, ['one.txt.dbk', 'two.txt.dbk']);
      await assertWhole(plain.driver, plain.root, ['one.txt', 'two.txt']);
    });

    it('shares one more dump among all that need it', async () => {
      const places = [await folder(), await folder(), await folder()];
      const fault: Fault = { file: 'two', kind: 'error', afterBytes: 1 };
      const faulty = places.map(({ driver }) => new FaultyDestination(driver, fault));
      const scripted = source();
      const steps = [[], [encrypt()], [zstd()]];
      const { result } = await runEngine(
        scripted,
        faulty.map((to, index) => ({ to, name: `d${index}`, steps: steps[index] ?? [] })),
      );
      assert.equal(result.state, 'succeeded', String(result.destinations.map(({ error }) => error)));
      assert.deepEqual([...scripted.dumps.values()], [1, 2]);
      assert.ok(result.destinations.every(({ set }) => set?.healed === false));
    });

    it('lets the one go first that holds most, and copies from it to its twin', async () => {
      const [less, more] = [await folder(), await folder()];
      const losesOne = new FaultyDestination(less.driver, { file: 'one', kind: 'error', afterBytes: 1 });
      const losesTwo = new FaultyDestination(more.driver, { file: 'two', kind: 'error', afterBytes: 1 });
      const scripted = source();
      const { result } = await runEngine(scripted, [
        { to: losesOne, name: 'less' },
        { to: losesTwo, name: 'more' },
      ]);
      assert.equal(result.state, 'succeeded', String(result.destinations.map(({ error }) => error)));
      assert.deepEqual([...scripted.dumps.values()], [1, 2]);
      assert.deepEqual(
        result.destinations.map(({ set }) => set?.healed),
        [true, false],
      );
      assert.deepEqual(await filesBelow(less.root), await filesBelow(more.root));
    });

    it('takes another sibling when the one that it copied from cannot give its set', async () => {
      for (const trouble of [
        new BackupError('corrupt', 'It is damaged'),
        new BackupError('unavailable', 'It is gone', { transient: true }),
      ]) {
        const [mute, good, bad] = [await folder(), await folder(), await folder()];
        const read: DestinationDriver['read'] = async () => {
          throw trouble;
        };
        const faulty = new FaultyDestination(bad.driver, { file: 'two', kind: 'error', afterBytes: 1 });
        const { result, notices } = await runEngine(source(), [
          { to: { ...mute.driver, read }, name: 'mute' },
          { to: good.driver, name: 'good' },
          { to: faulty, name: 'bad' },
        ]);
        assert.equal(result.state, 'succeeded', String(result.destinations[2]?.error));
        assert.equal(result.destinations[2]?.attempts, 3);
        const told = notices.map(({ message }) => message);
        assert.ok(told.includes(`bad got no copy from mute: ${trouble.message}`), told.join('\n'));
        assert.ok(told.includes('bad was healed by copying from good'));
        await assertWhole(bad.driver, bad.root, ['one.txt', 'two.txt']);
      }
    });

    it('heals from a destination that has got its own set late', async () => {
      const [first, second] = [await folder(), await folder()];
      const once = new FaultyDestination(first.driver, { file: 'manifest.json', kind: 'commit-error' });
      const often = new FaultyDestination(second.driver, {
        file: 'manifest.json',
        kind: 'commit-error',
        times: 4,
      });
      const scripted = source();
      const { result } = await runEngine(scripted, [
        { to: once, name: 'first' },
        { to: often, name: 'second' },
      ]);
      assert.equal(result.state, 'succeeded', String(result.destinations.map(({ error }) => error)));
      assert.deepEqual([...scripted.dumps.values()], [1, 1]);
      assert.deepEqual(
        result.destinations.map(({ attempts: times, set }) => [times, set?.healed]),
        [
          [2, false],
          [5, true],
        ],
      );
      await assertWhole(second.driver, second.root, ['one.txt', 'two.txt']);
    });
  });
});

/** Short only where something hangs: a machine that is busy must not be taken for a storage that hangs. */
function stallAt({ kind }: Fault): { stallMs?: number } {
  return kind === 'hang' ? { stallMs: 3000 } : {};
}

/** Refuses to write files of that name. */
function refusing(driver: DestinationDriver, file: string, error: BackupError): DestinationDriver {
  return {
    ...driver,
    write: async (path, bytes, options) => {
      if (path.includes(file)) throw error;
      return driver.write(path, bytes, options);
    },
  };
}

/** Notes the name of each file that it is given. */
function counting(driver: DestinationDriver, writes: string[]): DestinationDriver {
  return new Proxy(driver, {
    get(target, property) {
      if (property !== 'write') {
        const value: unknown = Reflect.get(target, property, target);
        return typeof value === 'function' ? value.bind(target) : value;
      }
      const write: DestinationDriver['write'] = (path, bytes, options) => {
        writes.push(path.replace(/^.*\//, ''));
        return target.write(path, bytes, options);
      };
      return write;
    },
  });
}
