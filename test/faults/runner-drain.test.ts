import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { FlowEntry } from '../../runner/runtime.ts';
import { createSparseDatabase } from '../fixtures/five-gigabytes.ts';
import { ENDED_WITHIN_MS, history, storing } from '../fixtures/stopped-runner.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { stored, told } from '../support/runner-moments.ts';
import { eventsOf, RunnerProcess } from '../support/runner-process.ts';
import { filesBelow, processesWithTemp } from '../support/runner-traces.ts';
import { until } from '../support/until.ts';

describe('dbackup, told to stop while it may drain', function () {
  this.timeout(240_000);
  let work: RunnerWorkspace;
  let running: RunnerProcess | undefined;

  beforeEach(() => {
    work = new RunnerWorkspace(12_000_000);
  });

  afterEach(async () => {
    running?.kill('SIGKILL');
    await running?.finished;
    running = undefined;
    work.remove();
  });

  const begin = (command: 'run' | 'serve', flow: string, options: string[], env: NodeJS.ProcessEnv = {}) => {
    const args = command === 'serve' ? ['--port', '0', ...options] : options;
    const runner = new RunnerProcess([command, flow, '--json', ...args], { env: work.env(env) });
    running = runner;
    return runner;
  };
  /** A flow that begins as often as the address is asked. */
  const webhook = (rate: number, files = [work.database]) =>
    work.flow({
      key: null,
      stores: ['near'],
      files,
      rate,
      settings: { zip: { algorithm: 'brotli', level: 1 } },
      more: [hook(), answer()],
    });
  const post = async (runner: RunnerProcess) => {
    const { url } = await runner.event('listening');
    const response = await fetch(`${String(url)}/backup`, { method: 'POST' });
    assert.equal(response.status, 200);
  };
  const statesOf = (stdout: string) =>
    eventsOf(stdout).flatMap(({ event, state }) => (event === 'run-finished' ? [state] : []));
  const assertNothingLeft = () => {
    assert.deepEqual(filesBelow(work.temp), []);
    assert.deepEqual(processesWithTemp(work.temp), []);
  };

  it('lets a run come to its end, cancels one that waits, and ends with 143 all the same', async () => {
    const runner = begin('serve', webhook(2), ['--drain', '10m', '--concurrency', '1']);
    await post(runner);
    await stored(runner, 'near');
    await post(runner);
    const { position, count } = await runner.event('run-queued');
    assert.deepEqual([position, count], [1, 1]);
    runner.kill('SIGTERM');
    const { code, stdout, stderr } = await runner.finished;
    assert.equal(code, 143, stdout + stderr);
    assert.deepEqual(statesOf(stdout), ['cancelled', 'succeeded'], 'the one that waits is cancelled first');
    assert.deepEqual((await history(work)).map(({ state }) => state).sort(), ['cancelled', 'succeeded']);
    assertNothingLeft();
  });

  it('run, when the environment says so: the backup is stored, the exit code is that of the signal', async () => {
    const flow = work.flow({
      key: null,
      stores: ['near'],
      rate: 2,
      settings: { src: { wires: [['near']] } },
    });
    const runner = begin('run', flow, [], { DBACKUP_SHUTDOWN: 'drain' });
    await stored(runner, 'near');
    runner.kill('SIGINT');
    const { code, stdout } = await runner.finished;
    assert.equal(code, 130, stdout);
    assert.deepEqual(statesOf(stdout), ['succeeded']);
    assertNothingLeft();
  });

  describe('in the middle of 5 GB', () => {
    beforeEach(() => createSparseDatabase(join(work.root, 'large.sqlite')));

    const endless = (drain: string) => {
      const settings = { src: { wires: [['near']], files: [join(work.root, 'large.sqlite')] } };
      const flow = work.flow({ key: null, stores: ['near'], rate: 4, settings });
      return begin('run', flow, [], { DBACKUP_SHUTDOWN: 'drain', DBACKUP_SHUTDOWN_SECONDS: drain });
    };
    const assertCancelled = async (runner: RunnerProcess, askedAt: number, withinMs: number) => {
      const { code, stdout, stderr } = await runner.finished;
      assert.equal(code, 143, stdout + stderr);
      const tookMs = performance.now() - askedAt;
      assert.ok(tookMs < withinMs, `it took ${tookMs} ms`);
      assert.deepEqual(statesOf(stdout), ['cancelled']);
      assert.deepEqual(filesBelow(work.first), []);
      assertNothingLeft();
      assert.equal((await history(work))[0]?.state, 'cancelled');
    };

    it('cancels what has not come to its end when time is short', async () => {
      const runner = endless('20');
      await storing(runner, 'near');
      const askedAt = performance.now();
      runner.kill('SIGTERM');
      await assertCancelled(runner, askedAt, ENDED_WITHIN_MS);
      assert.ok(performance.now() - askedAt > 9_900, 'it had half of the time');
    });

    it('cancels at once when it is told a second time', async () => {
      const runner = endless('600');
      await storing(runner, 'near');
      runner.kill('SIGTERM');
      await told(runner, ({ message }) => /^Stopping: 1 run may come/.test(String(message)));
      const askedAt = performance.now();
      runner.kill('SIGTERM');
      await assertCancelled(runner, askedAt, ENDED_WITHIN_MS);
    });
  });

  it('ends at its deadline whatever hangs, and says so', async () => {
    const settings = { go: { wires: [['src', 'stubborn']] } };
    const flow = work.flow({ key: null, stores: ['near'], rate: 0.5, settings, more: [stubborn()] });
    const runner = begin('run', flow, [], { DBACKUP_SHUTDOWN_SECONDS: '3' });
    await stored(runner, 'near');
    const askedAt = performance.now();
    runner.kill('SIGTERM');
    const { code, stdout } = await runner.finished;
    assert.equal(code, 143, stdout);
    assert.ok(performance.now() - askedAt < 13_000, 'it does not wait for a node that closes in 14 seconds');
    const error = eventsOf(stdout).find(({ event }) => event === 'error');
    assert.match(String(error?.message), /^DBackup ends before everything was cleaned up/);
    assert.deepEqual(eventsOf(stdout).at(-1)?.exitCode, 143);
    await until(() => processesWithTemp(work.temp).length === 0, 120_000);
    assert.equal((await history(work))[0]?.state, 'cancelled');
  });

  for (const [name, value] of [
    ['DBACKUP_CONCURRENCY', '0'],
    ['DBACKUP_PER_SERVER', '-1'],
    ['DBACKUP_SHUTDOWN', 'later'],
    ['DBACKUP_SHUTDOWN_SECONDS', '-5'],
  ] as const) {
    it(`refuses ${name}=${value} before anything starts`, async () => {
      const { code, stdout, stderr } = await begin('run', work.flow(), [], { [name]: value }).finished;
      assert.equal(code, 2);
      assert.match(stdout + stderr, new RegExp(`${name} is .*${value}`));
    });
  }
});

const PLACE = { z: 'tab', x: 1, y: 1 };

function hook(): FlowEntry {
  return {
    id: 'hook',
    type: 'http in',
    ...PLACE,
    url: '/backup',
    method: 'post',
    wires: [['src', 'answer']],
  };
}

function answer(): FlowEntry {
  return { id: 'answer', type: 'http response', ...PLACE, statusCode: '', headers: {}, wires: [] };
}

/** A node that takes nearly all of the time that Node-RED gives it to close. */
function stubborn(): FlowEntry {
  const func = "node.on('close', (done) => setTimeout(done, 14000)); return msg;";
  return { id: 'stubborn', type: 'function', ...PLACE, func, outputs: 1, wires: [[]] };
}
