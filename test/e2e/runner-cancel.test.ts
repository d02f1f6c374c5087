import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { stored } from '../support/runner-moments.ts';
import { dbackup, eventsOf, RunnerProcess } from '../support/runner-process.ts';

describe('dbackup queue and cancel', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;

  before(() => {
    work = new RunnerWorkspace(60_000_000);
    createSampleDatabase(join(work.root, 'small.sqlite'), 100_000);
  });

  after(() => work.remove());

  const ask = (...args: string[]) => dbackup(args, { env: work.env() });

  it('say so when there is nothing to list or to cancel', async () => {
    assert.deepEqual(JSON.parse((await ask('queue', '--json')).stdout), { runs: [] });
    const { code, stderr } = await ask('cancel', 'none');
    assert.equal(code, 1);
    assert.match(stderr, /The history knows no run none/);
    assert.throws(() => readdirSync(work.data), { code: 'ENOENT' }, 'a question makes no history');
  });

  it('show the run of another process, end it with a reason, and wait until it is cleaned up', async () => {
    const flow = work.flow({ key: null, stores: ['near'], rate: 0.5 });
    const runner = new RunnerProcess(['run', flow, '--json'], { env: work.env() });
    await stored(runner, 'near');
    const listed = JSON.parse((await ask('queue', '--json')).stdout) as {
      runs: { id: string; job: string; state: string; pid: number }[];
    };
    assert.deepEqual(
      listed.runs.map(({ job, state, pid }) => [job, state, pid]),
      [['shop', 'running', runner.pid]],
    );
    const [{ id } = { id: '' }] = listed.runs;
    assert.match((await ask('queue')).stdout, new RegExp(`${id} +shop +running`));
    const { code, stdout } = await ask('cancel', id, '--reason', 'not during the sale');
    assert.equal(code, 0, stdout);
    assert.match(stdout, new RegExp(`Run ${id} is cancelled`));
    assert.deepEqual(readdirSync(work.first), []);
    const ended = await runner.finished;
    assert.equal(ended.code, 1);
    const finished = eventsOf(ended.stdout).find(({ event }) => event === 'run-finished');
    assert.equal(finished?.state, 'cancelled');
    assert.match(JSON.stringify(finished.error), /was cancelled: not during the sale/);
    const late = await ask('cancel', id);
    assert.equal(late.code, 1);
    assert.match(late.stderr, /has ended already: it is cancelled/);
  });

  it('cancel without waiting, when told to', async () => {
    const flow = work.flow({ key: null, stores: ['near'], rate: 0.5 });
    const runner = new RunnerProcess(['run', flow, '--json'], { env: work.env() });
    const { run } = await stored(runner, 'near');
    const { code, stdout } = await ask('cancel', String(run), '--no-wait', '--json');
    assert.equal(code, 0, stdout);
    assert.deepEqual(JSON.parse(stdout), { run });
    assert.equal((await runner.finished).code, 1);
  });
});
