import assert from 'node:assert/strict';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { listBackupSets } from '../../lib/backupset/catalog.ts';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import { BackupEngine } from '../../lib/engine/backup-engine.ts';
import { BackupError } from '../../lib/errors.ts';
import type { RunNeeds } from '../../lib/plan/needs.ts';
import { SpareDestinationError } from '../../lib/runs/outcome.ts';
import {
  filesBelow,
  ONE_COPY,
  planRun,
  runEngine,
  TestClock,
  useLocalFolders,
} from '../support/engine-run.ts';
import { FaultyDestination } from '../support/faulty-destination.ts';
import { type Script, ScriptedSource } from '../support/scripted-source.ts';

const MIB = 1024 * 1024;
const signal = new AbortController().signal;
const ANY: RunNeeds = { destinations: 'any' };
const copies = (count: number): RunNeeds => ({ destinations: 'copies', copies: count });

describe('engine: what a run needs of its destinations', () => {
  const folder = useLocalFolders();
  const one: Script = { name: 'one', bytes: 2 * MIB };
  const source = (...more: Script[]) => new ScriptedSource(one, ...more);

  /** Never takes a file. */
  const dead = (driver: DestinationDriver): DestinationDriver => ({
    ...driver,
    write: async () => {
      throw new BackupError('permission', 'Nothing may be written here');
    },
  });

  /** Stores well, and then a bit of the disk flips. */
  const rotten = (driver: DestinationDriver, root: string): DestinationDriver => ({
    ...driver,
    write: async (path, bytes, options) => {
      const pending = await driver.write(path, bytes, options);
      const commit = async () => {
        await pending.commit();
        if (path.endsWith('manifest.json')) await flipBit(root, 'one.txt');
      };
      return { bytes: pending.bytes, commit, abort: () => pending.abort() };
    },
  });

  /** So many destinations of each kind, at most one run. */
  async function run(needs: RunNeeds | undefined, kinds: string, scripts = source()) {
    const branches = await Promise.all(
      [...kinds].map(async (kind, index) => {
        const { driver, root } = await folder();
        const to = kind === 'x' ? dead(driver) : kind === 'r' ? rotten(driver, root) : driver;
        return { to, name: `${kind}${index}` };
      }),
    );
    return runEngine(scripts, branches, { ...ONE_COPY, ...(needs === undefined ? {} : { needs }) });
  }

  // g: good, x: takes nothing, r: stores and does not hold.
  const table: readonly (readonly [RunNeeds | undefined, string, string])[] = [
    [undefined, 'gg', 'succeeded'],
    [undefined, 'gx', 'partial'],
    [undefined, 'xx', 'failed'],
    [undefined, 'r', 'succeeded'],
    [ANY, 'gg', 'succeeded'],
    [ANY, 'gx', 'succeeded'],
    [ANY, 'xxg', 'succeeded'],
    [ANY, 'xx', 'failed'],
    [copies(2), 'gg', 'succeeded'],
    [copies(2), 'ggx', 'succeeded'],
    [copies(1), 'gxx', 'succeeded'],
    [copies(2), 'gx', 'partial'],
    [copies(2), 'rg', 'partial'],
    [copies(2), 'rgg', 'succeeded'],
    [copies(1), 'rrg', 'succeeded'],
    [copies(1), 'rr', 'failed'],
    [copies(2), 'xx', 'failed'],
    [copies(3), 'gg', 'failed'],
  ];
  for (const [needs, kinds, state] of table) {
    const what = needs?.destinations === 'copies' ? `${needs.copies} copies` : (needs?.destinations ?? 'all');
    it(`${what} of ${kinds}: ${state}`, async () => {
      const { result } = await run(needs, kinds);
      assert.equal(
        result.state,
        state,
        JSON.stringify(result.destinations.map(({ error }) => error?.message)),
      );
    });
  }

  it('is partial when a database is missing, whatever it needs', async () => {
    for (const needs of [undefined, ANY, copies(1)]) {
      const { result } = await run(needs, 'gg', source({ name: 'two', bytes: MIB, proofFails: true }));
      assert.equal(result.state, 'partial', needs?.destinations);
    }
  });

  it('writes down what it needed', async () => {
    const { result, outcomes } = await run(copies(1), 'g');
    const outcome = outcomes.get('g0');
    assert.ok(outcome?.status === 'fulfilled');
    assert.deepEqual(outcome.value.manifest.recipe.needs, copies(1));
    assert.deepEqual(result.needs, copies(1));
    const plain = (await run(undefined, 'g')).outcomes.get('g0');
    assert.ok(plain?.status === 'fulfilled' && !('needs' in plain.value.manifest.recipe));
  });

  it('tells a destination that it was not needed, warns, and calls nothing else an error', async () => {
    const { result, outcomes, notices } = await run(ANY, 'gx');
    const spare = outcomes.get('x1');
    assert.ok(spare?.status === 'rejected' && spare.reason instanceof SpareDestinationError);
    assert.match(spare.reason.message, /Nothing may be written here/);
    assert.equal(result.destinations[1]?.error?.code, 'permission');
    assert.ok(
      notices.some(
        ({ level, node, message }) =>
          level === 'warn' &&
          node === 'x1' &&
          /x1 failed, and the run does without it: Nothing/.test(message),
      ),
    );
    assert.ok(notices.every(({ level }) => level !== 'error'));
    const needed = (await run(undefined, 'gx')).outcomes.get('x1');
    assert.ok(needed?.status === 'rejected' && !(needed.reason instanceof SpareDestinationError));
  });

  it('tries a destination again that it could do without', async () => {
    const [a, b] = [await folder(), await folder()];
    const faulty = new FaultyDestination(b.driver, { file: 'one', kind: 'error', afterBytes: 1, times: 2 });
    const branches = [
      { to: a.driver, name: 'a' },
      { to: faulty, name: 'b' },
    ];
    const { result } = await runEngine(source(), branches, { needs: ANY });
    assert.equal(result.state, 'succeeded');
    assert.equal(result.destinations[1]?.set?.healed, true);
  });

  describe('verified copies', () => {
    it('reads back as many sets as are needed, and no more', async () => {
      const places = await Promise.all([folder(), folder(), folder()]);
      const reads = new Map<string, number>();
      const branches = places.map(({ driver }, index) => {
        const name = `d${index}`;
        const read: DestinationDriver['read'] = (path, options) => {
          if (path.endsWith('one.txt')) reads.set(name, (reads.get(name) ?? 0) + 1);
          return driver.read(path, options);
        };
        return { to: { ...driver, read }, name };
      });
      const { result } = await runEngine(source(), branches, { needs: copies(2) });
      assert.equal(result.state, 'succeeded');
      assert.deepEqual([...reads].sort(), [
        ['d0', 1],
        ['d1', 1],
      ]);
      assert.deepEqual(
        result.destinations.map(({ verified }) => verified),
        [true, true, undefined],
      );
    });

    it('names a set that does not hold, keeps it, and takes another one in its place', async () => {
      const { result, notices, outcomes } = await run(copies(2), 'rgg');
      const [bad, ...good] = result.destinations;
      assert.equal(bad?.error?.code, 'corrupt');
      assert.match(bad?.error?.message ?? '', /^The stored set does not hold: .*one\.txt is damaged/);
      assert.ok(bad?.set !== undefined && bad.verified === undefined);
      assert.deepEqual(
        good.map(({ verified }) => verified),
        [true, true],
      );
      assert.ok(notices.some(({ level, node }) => level === 'warn' && node === 'r0'));
      assert.equal(outcomes.get('r0')?.status, 'rejected', 'nothing is to be built upon it');
    });

    it('finds a manifest that is not the one that was stored', async () => {
      const { driver, root } = await folder();
      const tampered: DestinationDriver = {
        ...driver,
        read: async (path, options) => {
          await flipBit(root, 'manifest.json');
          return driver.read(path, options);
        },
      };
      const { result } = await runEngine(source(), [{ to: tampered, name: 'a' }], { needs: copies(1) });
      assert.equal(result.state, 'failed');
      assert.match(result.destinations[0]?.error?.message ?? '', /is not the manifest that was stored/);
    });

    it('reads again what cannot be read in passing, and gives up in the end', async () => {
      for (const [failures, state] of [
        [2, 'succeeded'],
        [99, 'failed'],
      ] as const) {
        const { driver } = await folder();
        let left = failures;
        const read: DestinationDriver['read'] = async (path, options) => {
          left -= 1;
          if (left >= 0) throw new BackupError('unavailable', 'The line is broken', { transient: true });
          return driver.read(path, options);
        };
        const clock = new TestClock();
        const options = { needs: copies(1), clock };
        const { result } = await runEngine(source(), [{ to: { ...driver, read }, name: 'a' }], options);
        assert.equal(result.state, state);
        if (state === 'failed') {
          assert.match(
            result.destinations[0]?.error?.message ?? '',
            /could not be read back: The line is broken/,
          );
        }
        assert.ok(clock.pauses.length > 0);
      }
    });

    it('reads sets that were healed, too', async () => {
      const [a, b] = [await folder(), await folder()];
      const faulty = new FaultyDestination(b.driver, { file: 'one', kind: 'error', afterBytes: 1 });
      const branches = [
        { to: a.driver, name: 'a' },
        { to: faulty, name: 'b' },
      ];
      const { result } = await runEngine(source(), branches, { needs: copies(2) });
      assert.equal(result.state, 'succeeded');
      assert.deepEqual(
        result.destinations.map(({ verified, set }) => [verified, set?.healed]),
        [
          [true, false],
          [true, true],
        ],
      );
    });

    it('refuses more copies than there are destinations before it dumps anything', async () => {
      const scripted = source();
      const { driver, root } = await folder();
      const { result } = await runEngine(scripted, [{ to: driver, name: 'a' }], { needs: copies(2) });
      assert.equal(result.state, 'failed');
      assert.equal(result.error?.code, 'invalid-config');
      assert.match(result.error?.message ?? '', /needs 2 verified copies, and reached 1 destination:/);
      assert.deepEqual([scripted.listings, scripted.dumps.size, await filesBelow(root)], [0, 0, []]);
    });

    it('is cancelled while it reads back, and tells truly that the sets are there', async () => {
      const { driver } = await folder();
      const read: DestinationDriver['read'] = () => new Promise(() => undefined);
      const engine = new BackupEngine({ clock: new TestClock() });
      const branches = [{ to: { ...driver, read }, name: 'a' }];
      const { run: planned, joins } = planRun(engine, [source()], branches, { needs: copies(1) });
      const states: string[] = [];
      engine.events.on('state', ({ state }) => states.push(state));
      engine.events.on('progress', ({ stage }) => {
        if (stage === 'verifying') setImmediate(() => engine.cancel(planned.id, 'a person asked'));
      });
      planned.seal();
      await Promise.allSettled(joins);
      await engine.idle();
      assert.equal(states.at(-1), 'cancelled');
      assert.equal((await joins[0])?.reference.status, 'complete');
      assert.equal((await listBackupSets(driver, { prefix: 'sets', signal })).sets.length, 1);
    });
  });
});

/** Changes one bit of the file of that name. */
async function flipBit(root: string, name: string): Promise<void> {
  const file = (await filesBelow(root)).find((found) => found.endsWith(`/${name}`));
  const handle = await open(join(root, file ?? ''), 'r+');
  try {
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, 100);
    byte.writeUInt8(byte.readUInt8() ^ 1);
    await handle.write(byte, 0, 1, 100);
  } finally {
    await handle.close();
  }
}
