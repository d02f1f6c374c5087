import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import { openStore } from '../../lib/store/store.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { appears, appearsInNext, stored, told } from '../support/runner-moments.ts';
import {
  dbackup,
  eventsOf,
  type Finished,
  type RunnerEvent,
  RunnerProcess,
} from '../support/runner-process.ts';
import { filesBelow, listedSets } from '../support/runner-traces.ts';
import { fillDisk, mountSmallDisk, type SmallDisk } from '../support/small-disk.ts';

/** MB/s at which a run takes some seconds. */
const SLOW = 1.5;

describe('dbackup run, when a disk fails it', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;
  const disks: SmallDisk[] = [];

  before(() => {
    work = new RunnerWorkspace(6_000_000);
    createSampleDatabase(join(work.root, 'small.sqlite'), 300_000);
  });

  afterEach(async () => {
    for (const disk of disks.splice(0)) await disk.unmount();
    for (const storage of [work.first, work.second, work.data]) {
      rmSync(storage, { recursive: true, force: true });
    }
    for (const storage of [work.first, work.second]) mkdirSync(storage);
  });

  after(() => work.remove());

  const mount = async (context: Mocha.Context, options: string): Promise<SmallDisk> => {
    const disk = await mountSmallDisk(context, options);
    disks.push(disk);
    return disk;
  };
  const both = () => [join(work.root, 'small.sqlite'), work.database];
  const start = (flow: string, env: NodeJS.ProcessEnv = {}) =>
    new RunnerProcess(['run', flow, '--json'], { env: work.env(env) });
  const run = (flow: string, env: NodeJS.ProcessEnv = {}) => start(flow, env).finished;

  /** The near destination has the one set of this test, and every byte of it. */
  const assertNearIsWhole = async () => {
    const args = ['verify', 'latest', '--storage', work.first, '--level', 'content'];
    const { code, stdout } = await dbackup(args, { env: work.env() });
    assert.equal(code, 0, stdout);
    assert.equal((await listedSets(work.first)).length, 1);
  };

  describe('because it is full', () => {
    it('stores at the other destination, and leaves nothing on the full one', async function () {
      const disk = await mount(this, 'size=2m');
      const finished = await run(work.flow({ files: both(), secondRoot: disk.path }));
      assert.equal(finished.code, 5);
      const [near, far] = destinationsOf(finished);
      assert.equal(near?.error, undefined);
      assert.equal(far?.error?.code, 'no-space');
      assert.match(far?.error?.message ?? '', /the disk is full.* Copying from .*"near" failed too: .*needs/);
      assert.deepEqual(filesBelow(disk.path), [], 'the small database, which was stored, is gone too');
      await assertNearIsWhole();
    });

    it('heals the destination when there is room again before the run has ended', async function () {
      const disk = await mount(this, 'size=8m');
      fillDisk(disk.path);
      const runner = start(work.flow({ secondRoot: disk.path, rate: SLOW }));
      await told(runner, ({ event, node }) => event === 'notice' && node === 'far');
      rmSync(join(disk.path, 'filler'));
      const finished = await runner.finished;
      assert.equal(finished.code, 0, finished.stdout);
      assert.deepEqual(
        destinationsOf(finished).map(({ set }) => set?.healed),
        [false, true],
      );
      const far = join(disk.path, 'deep', 'er');
      assert.deepEqual(filesBelow(far), filesBelow(work.first));
    });

    it('fails when there is no other destination, and leaves nothing', async function () {
      const disk = await mount(this, 'size=2m');
      const finished = await run(work.flow({ secondRoot: disk.path, stores: ['far'] }));
      assert.equal(finished.code, 1);
      assert.match(destinationsOf(finished)[0]?.error?.message ?? '', /the disk is full/);
      assert.deepEqual(readdirSync(disk.path), []);
    });
  });

  describe('because it is not there any more', () => {
    it('has no set of an unmounted disk, though open files went on taking bytes', async function () {
      const disk = await mount(this, 'size=40m');
      const settings = { far: { rate: SLOW } };
      const runner = start(work.flow({ secondRoot: disk.path, stores: ['far'], settings }));
      await stored(runner, 'far', 500_000);
      execFileSync('umount', ['--lazy', disk.path]);
      const finished = await runner.finished;
      assert.equal(finished.code, 1, finished.stdout);
      assert.match(
        destinationsOf(finished)[0]?.error?.message ?? '',
        /dbk was stored, but is not there any more/,
      );
      assert.deepEqual(readdirSync(disk.path), [], 'nothing is left in the folder below');
      rmSync(disk.path, { recursive: true });
      disks.pop();
    });

    it('does not write below a mount point', async function () {
      const disk = await mount(this, 'size=40m');
      const settings = { disk2: { mountPoint: true } };
      const runner = start(work.flow({ secondRoot: disk.path, rate: SLOW, settings }));
      await stored(runner, 'near', 500_000);
      execFileSync('umount', ['--lazy', disk.path]);
      const finished = await runner.finished;
      assert.equal(finished.code, 5, finished.stdout);
      assert.match(destinationsOf(finished)[1]?.error?.message ?? '', /Nothing is mounted on/);
      assert.deepEqual(readdirSync(disk.path), []);
      await assertNearIsWhole();
      rmSync(disk.path, { recursive: true });
      disks.pop();
    });

    it('does not make the folder anew', async () => {
      const runner = start(work.flow({ rate: SLOW }));
      await stored(runner, 'near', 500_000);
      renameSync(work.second, join(work.root, 'elsewhere'));
      const finished = await runner.finished;
      assert.equal(finished.code, 5, finished.stdout);
      assert.match(
        destinationsOf(finished)[1]?.error?.message ?? '',
        /second does not exist: mount its disk/,
      );
      assert.equal(existsSync(work.second), false);
      assert.deepEqual(await listedSets(join(work.root, 'elsewhere')), []);
      rmSync(join(work.root, 'elsewhere'), { recursive: true });
      await assertNearIsWhole();
    });
  });

  it('because it has become read-only: nothing of it is listed', async function () {
    const disk = await mount(this, 'size=40m');
    const runner = start(work.flow({ files: both(), secondRoot: disk.path, rate: SLOW }));
    await appearsInNext(join(disk.path, 'deep', 'er', 'shop'), /^small\.sqlite/);
    await untilReadOnly(disk);
    const finished = await runner.finished;
    assert.equal(finished.code, 5, finished.stdout);
    assert.match(destinationsOf(finished)[1]?.error?.message ?? '', /read-only/);
    assert.deepEqual(await listedSets(disk.path), []);
    await assertNearIsWhole();
  });

  describe('because the data directory is on it, and it is full', () => {
    const assertNothingBegan = ({ code, stdout, stderr }: Finished) => {
      assert.equal(code, 3, stderr);
      assert.deepEqual(
        eventsOf(stdout).map(({ event, code: reason }) => [event, reason]),
        [
          ['error', 'no-space'],
          ['finished', undefined],
        ],
      );
      assert.match(stdout, /No space left for the store .*dbackup\.db: free some/);
      assert.deepEqual([...readdirSync(work.first), ...readdirSync(work.second)], []);
    };

    it('does not begin, from the first time on', async function () {
      const disk = await mount(this, 'size=64k');
      assertNothingBegan(await run(work.flow(), { DBACKUP_DATA: disk.path }));
    });

    it('does not begin when it has run full since', async function () {
      const disk = await mount(this, 'size=4m');
      await (await openStore(disk.path)).close();
      fillDisk(disk.path);
      assertNothingBegan(await run(work.flow(), { DBACKUP_DATA: disk.path }));
    });

    it('stores the backup when it runs full on the way, and says what is missing', async function () {
      const disk = await mount(this, 'size=4m');
      const runner = start(work.flow({ rate: SLOW }), { DBACKUP_DATA: disk.path });
      await appears(disk.path, /^vault\.json$/);
      await stored(runner, 'near', 500_000);
      fillDisk(disk.path);
      const { code, stdout, stderr } = await runner.finished;
      assert.equal(code, 5, stderr);
      const last = eventsOf(stdout).at(-1);
      assert.deepEqual([last?.event, last?.exitCode], ['finished', 5]);
      assert.match(stdout, /The history could not record the end of run \S+ No space left for the store/);
      for (const root of [work.first, work.second]) assert.equal((await listedSets(root)).length, 1);
    });
  });
});

interface Destination {
  readonly set?: { readonly healed: boolean };
  readonly error?: { readonly code: string; readonly message: string };
}

/** What became of each destination, by the run's own account. */
function destinationsOf({ stdout }: Finished): readonly Destination[] {
  const ended: RunnerEvent | undefined = eventsOf(stdout).find(({ event }) => event === 'run-finished');
  assert.ok(ended, stdout);
  return ended.destinations as Destination[];
}

/** Refused as long as a file is open for writing. */
async function untilReadOnly(disk: SmallDisk): Promise<void> {
  for (;;) {
    try {
      return await disk.remount('ro');
    } catch (error) {
      if (!/busy/.test(String(error))) throw error;
    }
  }
}
