import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { appears, stored } from '../support/runner-moments.ts';
import { dbackup, eventsOf, RunnerProcess } from '../support/runner-process.ts';
import { listedSets, processesWithTemp } from '../support/runner-traces.ts';
import { until } from '../support/until.ts';

/** MB/s at which a run takes far longer than a test. */
const SLOW = 0.5;

interface Moment {
  readonly when: string;
  readonly settings?: Readonly<Record<string, object>>;
  readonly more?: readonly FlowEntry[];
  reached(runner: RunnerProcess, work: RunnerWorkspace): Promise<unknown>;
}

const MOMENTS: readonly Moment[] = [
  {
    when: 'while the run is planned',
    settings: { zip: { wires: [['later']] } },
    more: [delay()],
    reached: (runner) => runner.event('run-opened'),
  },
  {
    when: 'while a database is copied to the spool',
    settings: { src: { method: 'backup' } },
    reached: (_, work) => appears(work.temp, /^dbackup-sqlite-/),
  },
  { when: 'in the middle of the stream', reached: (runner) => stored(runner, 'near') },
];

describe('dbackup run, told to stop', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;
  let files: string[];

  before(() => {
    work = new RunnerWorkspace(500_000);
    files = [join(work.root, 'large.sqlite'), work.database];
    createSampleDatabase(files[0] ?? '', 60_000_000);
  });

  after(() => work.remove());

  const start = ({ settings = {}, more = [] }: Pick<Moment, 'settings' | 'more'> = {}) =>
    new RunnerProcess(['run', work.flow({ files, rate: SLOW, settings, more }), '--json'], {
      env: work.env(),
    });

  const assertNothingLeft = () => {
    for (const folder of [work.first, work.second, work.temp, join(work.data, 'instances')]) {
      assert.deepEqual(readdirSync(folder, { recursive: true }), [], folder);
    }
    assert.deepEqual(processesWithTemp(work.temp), []);
  };

  for (const { when, reached, ...parts } of MOMENTS) {
    for (const [signal, expected] of [
      ['SIGTERM', 143],
      ['SIGINT', 130],
    ] as const) {
      it(`by ${signal} ${when}: ends with ${expected}, cancelled in the history, nothing left`, async () => {
        const runner = start(parts);
        await reached(runner, work);
        runner.kill(signal);
        const { code, stdout } = await runner.finished;
        assert.equal(code, expected, stdout);
        const events = eventsOf(stdout);
        const finished = events.find(({ event }) => event === 'run-finished');
        assert.equal(finished?.state, 'cancelled');
        assert.deepEqual([events.at(-1)?.event, events.at(-1)?.exitCode], ['finished', expected]);
        assertNothingLeft();
        const [last] = await history(work);
        assert.deepEqual([last?.id, last?.state], [finished?.run, 'cancelled']);
        assert.match(last?.error?.message ?? '', new RegExp(`DBackup was stopped by ${signal}`));
      });
    }
  }

  it('by Ctrl-C, which every process of the terminal gets: the runner decides, and cleans up', async () => {
    const runner = start();
    await stored(runner, 'near');
    for (const pid of [runner.pid, ...runner.children()]) process.kill(pid, 'SIGINT');
    assert.equal((await runner.finished).code, 130);
    assertNothingLeft();
  });

  it('twice: ends at once, leaves no process, and nothing that is listed', async () => {
    const runner = start({ settings: { go: { wires: [['src', 'stubborn']] } }, more: [stubborn()] });
    await stored(runner, 'near');
    runner.kill('SIGTERM');
    await runner.event('run-finished');
    const asked = performance.now();
    runner.kill('SIGTERM');
    assert.equal((await runner.finished).code, 143);
    assert.ok(performance.now() - asked < 5000, 'it does not wait for the node that closes slowly');
    await until(() => processesWithTemp(work.temp).length === 0, 120_000);
    assert.deepEqual([...(await listedSets(work.first)), ...(await listedSets(work.second))], []);
    const [last] = await history(work);
    assert.equal(last?.state, 'cancelled');
  });

  it('after all is stored: keeps the backup, which is whole', async () => {
    const stores = ['near'] as const;
    const settings = { near: { rate: '', wires: [['stubborn']] } };
    const flow = work.flow({ files: [work.database], stores, settings, more: [stubborn()] });
    const runner = new RunnerProcess(['run', flow, '--json'], { env: work.env() });
    await runner.event('run-finished');
    runner.kill('SIGTERM');
    await wait(200);
    runner.kill('SIGTERM');
    assert.equal((await runner.finished).code, 143);
    const args = ['verify', 'latest', '--storage', work.first, '--level', 'content'];
    assert.equal((await dbackup(args, { env: work.env() })).code, 0);
    assert.equal((await history(work))[0]?.state, 'succeeded');
  });
});

interface Recorded {
  readonly id: string;
  readonly state: string;
  readonly error: { readonly message: string } | null;
}

async function history(work: RunnerWorkspace): Promise<Recorded[]> {
  const { stdout } = await dbackup(['runs', '--json'], { env: work.env() });
  return (JSON.parse(stdout) as { runs: Recorded[] }).runs;
}

/** Holds the message back, so that the run stays planned. */
function delay(): FlowEntry {
  const settings = {
    pauseType: 'delay',
    timeout: '60',
    timeoutUnits: 'seconds',
    rate: '1',
    nbRateUnits: '1',
  };
  const rest = {
    rateUnits: 'second',
    randomFirst: '1',
    randomLast: '5',
    randomUnits: 'seconds',
    drop: false,
  };
  return { id: 'later', type: 'delay', z: 'tab', x: 1, y: 1, ...settings, ...rest, wires: [['enc']] };
}

/** A node that takes nearly all of the time that Node-RED gives it to close. */
function stubborn(): FlowEntry {
  const func = "node.on('close', (done) => setTimeout(done, 14000)); return msg;";
  return { id: 'stubborn', type: 'function', z: 'tab', x: 1, y: 1, func, outputs: 1, wires: [[]] };
}
