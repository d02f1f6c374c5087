import assert from 'node:assert/strict';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createSampleDatabase, inspectSampleDatabase } from '../../demo/sample-database.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { stored } from '../support/runner-moments.ts';
import { dbackup, eventsOf, type Finished, RunnerProcess } from '../support/runner-process.ts';
import { filesBelow, processesWithTemp } from '../support/runner-traces.ts';
import { mountSmallDisk } from '../support/small-disk.ts';

/** MB/s at which the large database takes several seconds. */
const SLOW = 2.5;

describe('dbackup run, when its source fails it', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;
  let large: string;

  beforeEach(() => {
    work = new RunnerWorkspace(500_000);
    large = join(work.root, 'large.sqlite');
    createSampleDatabase(large, 40_000_000);
  });

  afterEach(() => work.remove());

  const start = (flow: string, ...options: string[]) =>
    new RunnerProcess(['run', flow, '--json', ...options], { env: work.env() });

  const assertNothingStored = () => {
    assert.deepEqual(readdirSync(work.first), []);
    assert.deepEqual(readdirSync(work.second), []);
    assert.deepEqual(readdirSync(work.temp), []);
    assert.deepEqual(processesWithTemp(work.temp), []);
  };

  describe('because its dump process is killed', () => {
    const killed = async (flow: string, ...options: string[]): Promise<Finished> => {
      const runner = start(flow, ...options);
      await stored(runner, 'near');
      process.kill(dumpProcess(work), 'SIGKILL');
      return runner.finished;
    };
    const WHY = /^The process that reads \S+large\.sqlite was killed \(SIGKILL\) before it was done/;

    const ONCE = ['--attempts', '1'];

    it('fails, says so, and leaves nothing', async () => {
      const finished = await killed(work.flow({ files: [large], rate: SLOW }), ...ONCE);
      assert.equal(finished.code, 1);
      assert.match(failuresOf(finished)['large.sqlite'] ?? '', WHY);
      assertNothingStored();
    });

    it('stores the other databases', async () => {
      const finished = await killed(work.flow({ files: [large, work.database], rate: SLOW }), ...ONCE);
      assert.equal(finished.code, 5);
      assert.match(failuresOf(finished)['large.sqlite'] ?? '', WHY);
      await assertHolds(work, ['shop.sqlite']);
      assert.deepEqual(
        filesBelow(work.first).filter((file) => file.includes('large')),
        [],
      );
    });

    it('dumps that database again when all else is done, and says so', async () => {
      const finished = await killed(work.flow({ files: [large, work.database], rate: SLOW }));
      assert.equal(finished.code, 0, finished.stdout);
      await assertHolds(work, ['large.sqlite', 'shop.sqlite'], 'complete');
      const events = eventsOf(finished.stdout);
      const begun = events.flatMap(({ event, stage, database, rawBytes }) =>
        event === 'progress' && stage === 'dumping' && rawBytes === 0 ? String(database) : [],
      );
      assert.deepEqual(
        begun.filter((database, index) => database !== begun[index - 1]),
        ['large.sqlite', 'shop.sqlite', 'large.sqlite'],
      );
      assert.ok(events.every(({ event }) => event !== 'artifact-failed'));
      const waiting = events.find(({ event, stage }) => event === 'progress' && stage === 'waiting');
      const { attempt, nodes } = (waiting?.retry ?? {}) as { attempt?: number; nodes?: string[] };
      assert.deepEqual([attempt, nodes], [2, ['src']]);
      assert.match(finished.stdout, /large\.sqlite failed: .* was killed .*; attempt 2 of 3 in \d+ s/);
    });
  });

  for (const method of ['auto', 'backup']) {
    it(`because its spool folder is full (${method}): names it before anything is stored`, async function () {
      const disk = await mountSmallDisk(this, 'size=1m');
      try {
        const settings = { src: { method, spoolDirectory: disk.path } };
        const finished = await start(work.flow({ files: [large], settings })).finished;
        assert.equal(finished.code, 1);
        const why = failuresOf(finished)['large.sqlite'] ?? '';
        assert.match(why, new RegExp(`^The spool folder ${disk.path} has \\d+ bytes free, but .* needs`));
        assert.deepEqual(
          eventsOf(finished.stdout).filter(
            ({ event, rawBytes }) => event === 'progress' && Number(rawBytes) > 0,
          ),
          [],
        );
        assert.deepEqual(readdirSync(disk.path), []);
        assertNothingStored();
      } finally {
        await disk.unmount();
      }
    });
  }

  it('because a file is deleted: keeps what it had begun to read, and misses what it had not', async () => {
    const before = inspectSampleDatabase(large);
    const runner = start(work.flow({ files: [large, work.database], rate: 8 }));
    await stored(runner, 'near');
    for (const file of [large, work.database]) {
      for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true });
    }
    const finished = await runner.finished;
    assert.equal(finished.code, 5);
    assert.deepEqual(Object.keys(failuresOf(finished)), ['shop.sqlite']);
    assert.match(failuresOf(finished)['shop.sqlite'] ?? '', /^There is no file \S+shop\.sqlite$/);
    await assertHolds(work, ['large.sqlite']);
    mkdirSync(join(work.root, 'restored'));
    const to = join(work.root, 'restored', 'large.sqlite');
    const args = ['restore', 'latest', '--storage', work.first, '--database', 'large.sqlite', '--to', to];
    assert.equal((await dbackup(args, { env: work.env() })).code, 0);
    assert.deepEqual(inspectSampleDatabase(to), before);
  });
});

/** Why databases failed, by name. */
function failuresOf({ stdout }: Finished): Record<string, string> {
  const failed = eventsOf(stdout).filter(({ event }) => event === 'artifact-failed');
  return Object.fromEntries(
    failed.map(({ database, error }) => [database, (error as { message: string }).message]),
  );
}

/** Both storages have one set with these databases, whose content is right. */
async function assertHolds(
  work: RunnerWorkspace,
  databases: readonly string[],
  status: 'complete' | 'partial' = 'partial',
): Promise<void> {
  for (const root of [work.first, join(work.second, 'deep', 'er')]) {
    const args = ['verify', 'latest', '--storage', root, '--level', 'content', '--json'];
    const { code, stdout } = await dbackup(args, { env: work.env() });
    assert.equal(code, status === 'complete' ? 0 : 5, stdout);
    const report = JSON.parse(stdout) as { ok: boolean; status: string; artifacts: { database: string }[] };
    assert.deepEqual([report.ok, report.status], [true, status]);
    assert.deepEqual(
      report.artifacts.map(({ database }) => database),
      databases,
    );
  }
}

/** Id of the process that reads a database for the runner. */
function dumpProcess(work: RunnerWorkspace): number {
  const found = processesWithTemp(work.temp).find((pid) =>
    readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('sources/sqlite/process'),
  );
  assert.ok(found !== undefined, 'a dump process runs');
  return found;
}
