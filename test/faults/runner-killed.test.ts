import assert from 'node:assert/strict';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { createSampleDatabase, inspectSampleDatabase } from '../../demo/sample-database.ts';
import { EMPTY_KEY_RING, type KeyRing } from '../../lib/keys/keys.ts';
import { Vault } from '../../lib/keys/vault.ts';
import { LedgerWriter } from '../support/ledger-writer.ts';
import { MASTER_KEY, RunnerWorkspace } from '../support/runner-flows.ts';
import { appears, appearsInNext, stored } from '../support/runner-moments.ts';
import { dbackup, eventsOf, RunnerProcess } from '../support/runner-process.ts';
import { faultsOfListedSets, filesBelow, listedSets, processesWithTemp } from '../support/runner-traces.ts';
import { until } from '../support/until.ts';

/** MB/s at which a run takes about a second. */
const SLOW = 1.5;
/** What a run may leave when it is killed: a hidden file on its way, or files that no manifest names. */
const LEFTOVER =
  /^shop\/\d{8}T\d{6}Z_[0-9a-f]{8}\/(\..+\.[0-9a-f]{16}\.partial|(shop|small)\.sqlite\.zst\.dbk|SHA256SUMS(\.decoded)?|RESTORE\.md)$/;

interface KillPoint {
  readonly when: string;
  /** Resolves when the moment has come. */
  reached(runner: RunnerProcess, work: RunnerWorkspace): Promise<unknown>;
}

/** From the start of the process to its end. */
const POINTS: readonly KillPoint[] = [
  { when: 'while it starts', reached: () => wait(100 + Math.random() * 700) },
  { when: 'while the flow starts', reached: (_, work) => appears(work.data, /^dbackup\.db/) },
  { when: 'when the run is planned', reached: (runner) => runner.event('run-opened') },
  { when: 'when the first bytes are stored', reached: (runner) => stored(runner, 'near') },
  {
    when: 'in the middle of the stream',
    reached: (runner) => stored(runner, 'near', Math.random() * 900_000),
  },
  { when: 'when a database has its name', reached: (_, work) => appearsInNext(far(work), /^shop.*dbk$/) },
  { when: 'at the checksums', reached: (_, work) => appearsInNext(near(work), /SHA256SUMS/) },
  { when: 'before the manifest', reached: (_, work) => appearsInNext(near(work), /^RESTORE\.md$/) },
  { when: 'with one manifest', reached: (_, work) => appearsInNext(far(work), /^manifest\.json$/) },
  { when: 'when all is stored', reached: (runner) => runner.event('run-finished') },
];

describe('dbackup run, killed with SIGKILL', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;
  let writer: LedgerWriter;
  /** Sets whose content was looked at already. */
  const whole = new Set<string>();
  /** Runs that were killed before they could record their end. */
  const interrupted: string[] = [];

  before(async () => {
    work = new RunnerWorkspace(3_000_000);
    createSampleDatabase(join(work.root, 'small.sqlite'), 300_000);
    writer = await LedgerWriter.start(work.database);
  });

  after(async () => {
    await writer.stop();
    work.remove();
  });

  for (const { when, reached } of POINTS) {
    it(`${when}: lists only whole sets, leaves no process, and runs the next time`, async () => {
      const id = await killedRun(work, reached);
      await until(() => processesWithTemp(work.temp).length === 0, 120_000);
      await assertOnlyWholeSets(work, whole);
      const { code, stdout, stderr } = await dbackup(['run', usualFlow(work), '--json'], { env: work.env() });
      assert.equal(code, 0, stdout + stderr);
      // It may have been killed between the record of its end and the event that tells of it.
      if (id !== undefined && (await stateOf(work, id)) !== 'succeeded') {
        assert.match(stdout, new RegExp(`Run ${id} of an earlier process was interrupted: .* failed`));
        interrupted.push(id);
      }
      assert.deepEqual(readdirSync(work.temp), [], 'spools of the killed process are swept');
    });
  }

  it('is failed in the history, with the reason', async () => {
    const runs = await recordedRuns(work);
    assert.ok(interrupted.length >= 3, 'most runs were killed before their end');
    const failed = runs.filter(({ state }) => state !== 'succeeded');
    for (const { state, error } of failed) {
      assert.equal(state, 'failed');
      assert.match(error?.message ?? '', /^The process that ran it .* ended before/);
    }
    const ids = new Set(failed.map(({ id }) => id));
    assert.deepEqual(
      interrupted.filter((id) => !ids.has(id)),
      [],
    );
  });

  it('leaves consistent databases in the sets, and nothing else that is not named as such', async () => {
    const restored = join(work.root, 'restored.sqlite');
    const args = [
      'restore',
      'latest',
      '--storage',
      work.first,
      '--database',
      'shop.sqlite',
      '--to',
      restored,
    ];
    const { code, stderr } = await dbackup(args, { env: work.env() });
    assert.equal(code, 0, stderr);
    const { integrity, consistent, digests } = inspectSampleDatabase(restored);
    assert.deepEqual([integrity, consistent], ['ok', true]);
    assert.deepEqual(digests, inspectSampleDatabase(work.database).digests);
    for (const root of storagesOf(work)) {
      const sets = await listedSets(root);
      const left = filesBelow(root).filter((file) => !sets.some((set) => file.startsWith(`${set}/`)));
      assert.deepEqual(
        left.filter((file) => !LEFTOVER.test(file)),
        [],
      );
      const folders = new Set(left.map((file) => file.split('/')[1]));
      assert.ok(folders.size <= POINTS.length, 'at most one folder for each killed run');
    }
  });

  it('leaves a spool under a name of its own, and the next run removes it', async () => {
    createSampleDatabase(join(work.root, 'large.sqlite'), 40_000_000);
    const files = [join(work.root, 'large.sqlite')];
    const file = work.flow({ file: 'spooled.json', files, settings: { src: { method: 'backup' } } });
    const killed = new RunnerProcess(['run', file, '--json'], { env: work.env() });
    await appears(work.temp, /^dbackup-sqlite-/);
    killed.kill('SIGKILL');
    await killed.finished;
    await until(() => processesWithTemp(work.temp).length === 0, 120_000);
    const left = readdirSync(work.temp);
    assert.equal(left.length, 1);
    assert.match(left[0] ?? '', /^dbackup-sqlite-[0-9a-f-]+$/);
    const { code, stderr } = await dbackup(['run', file], { env: work.env() });
    assert.equal(code, 0, stderr);
    assert.deepEqual(readdirSync(work.temp), []);
  });
});

/** @returns id of the run that was killed, when it had begun and had not told its end yet */
async function killedRun(work: RunnerWorkspace, reached: KillPoint['reached']): Promise<string | undefined> {
  const runner = new RunnerProcess(['run', usualFlow(work, SLOW), '--json'], { env: work.env() });
  await reached(runner, work);
  await wait(Math.random() * 10);
  runner.kill('SIGKILL');
  const { stdout } = await runner.finished;
  const events = eventsOf(stdout);
  if (events.some(({ event }) => event === 'run-finished')) return undefined;
  // Before it begins, a run may not be in the history yet: nothing was done then.
  const started = events.find(({ event }) => event === 'run-started');
  return started?.run as string | undefined;
}

interface RecordedRun {
  readonly id: string;
  readonly state: string;
  readonly error: { readonly message: string } | null;
}

async function recordedRuns(work: RunnerWorkspace): Promise<RecordedRun[]> {
  const { stdout } = await dbackup(['runs', '--json', '--limit', '100'], { env: work.env() });
  return JSON.parse(stdout).runs;
}

async function stateOf(work: RunnerWorkspace, id: string): Promise<string | undefined> {
  return (await recordedRuns(work)).find((run) => run.id === id)?.state;
}

function usualFlow(work: RunnerWorkspace, rate?: number): string {
  const files = [work.database, join(work.root, 'small.sqlite')];
  return work.flow({ files, ...(rate === undefined ? {} : { rate }) });
}

/** Folder of the job at each destination. */
function near(work: RunnerWorkspace): string {
  return join(work.first, 'shop');
}

function far(work: RunnerWorkspace): string {
  return join(work.second, 'deep', 'er', 'shop');
}

function storagesOf(work: RunnerWorkspace): string[] {
  return [work.first, join(work.second, 'deep', 'er')];
}

/** What `dbackup list` shows is what can be restored: the content of each set that is new holds. */
async function assertOnlyWholeSets(work: RunnerWorkspace, whole: Set<string>): Promise<void> {
  const keys = await keysOf(work);
  const check = async (root: string) => {
    const { code, stdout } = await dbackup(['list', '--storage', root, '--json'], { env: work.env() });
    assert.equal(code, 0, stdout);
    const shown = (JSON.parse(stdout).sets as { set: string }[]).map(({ set }) => set);
    assert.deepEqual(shown.toSorted(), (await listedSets(root)).toSorted());
    const fresh = (set: string) => !whole.has(join(root, set));
    assert.deepEqual(await faultsOfListedSets(root, keys, fresh), []);
    for (const set of shown) whole.add(join(root, set));
  };
  await Promise.all(storagesOf(work).filter(existsSync).map(check));
}

async function keysOf(work: RunnerWorkspace): Promise<KeyRing> {
  const file = join(work.data, 'vault.json');
  const vault = existsSync(file) ? await Vault.open(file, MASTER_KEY) : undefined;
  return { ...EMPTY_KEY_RING, vaultKey: async (id, version) => vault?.key(id, version) };
}
