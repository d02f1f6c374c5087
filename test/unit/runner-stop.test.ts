import assert from 'node:assert/strict';
import { drainMs, drainSignal } from '../../lib/runs/shutdown.ts';
import { readPackageSettings } from '../../nodes/package-settings.ts';
import { queueLimits } from '../../nodes/queue-settings.ts';
import { shutdownPlan } from '../../nodes/shutdown-settings.ts';
import type { ExitCode } from '../../runner/exit-codes.ts';
import { listenForStop, type StopRequest } from '../../runner/signals.ts';
import { stopPlan } from '../../runner/stopping.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { until } from '../support/until.ts';

describe('settings of the queue and of the end', () => {
  const invalid = { code: 'invalid-config' };

  it('come from the environment, then from settings.js, then from us', () => {
    assert.deepEqual(queueLimits({}, {}), { concurrency: 2, perServer: 1 });
    assert.deepEqual(queueLimits({ concurrency: 5, perServer: 3 }, {}), { concurrency: 5, perServer: 3 });
    const env = { DBACKUP_CONCURRENCY: ' 7 ', DBACKUP_PER_SERVER: '2' };
    assert.deepEqual(queueLimits({ concurrency: 5, perServer: 3 }, env), { concurrency: 7, perServer: 2 });
  });

  for (const wrong of ['0', '-1', '1.5', 'two', '1001', '1e2']) {
    it(`a limit of ${wrong} is refused wherever it stands`, () => {
      assert.throws(() => queueLimits({}, { DBACKUP_CONCURRENCY: wrong }), invalid);
      assert.throws(() => queueLimits({}, { DBACKUP_PER_SERVER: wrong }), invalid);
      const value = Number(wrong) === 100 ? 1001 : Number(wrong);
      assert.throws(() => readPackageSettings({ concurrency: value }), invalid);
      assert.throws(() => readPackageSettings({ perServer: value }), invalid);
    });
  }

  it('an end has 20 seconds, a drain 10 minutes; Node-RED gives both less', () => {
    assert.deepEqual(shutdownPlan({}, {}, 'runner'), { mode: 'abort', deadlineMs: 20_000 });
    assert.deepEqual(shutdownPlan({ shutdown: 'drain' }, {}, 'runner'), {
      mode: 'drain',
      deadlineMs: 600_000,
    });
    assert.equal(shutdownPlan({ shutdown: 'drain' }, {}, 'node-red').deadlineMs, 14_000);
    const env = { DBACKUP_SHUTDOWN: 'drain', DBACKUP_SHUTDOWN_SECONDS: '90' };
    assert.deepEqual(shutdownPlan({ shutdown: 'abort', shutdownSeconds: 3 }, env, 'runner'), {
      mode: 'drain',
      deadlineMs: 90_000,
    });
    assert.deepEqual(stopPlan('6h', {}), { mode: 'drain', deadlineMs: 6 * 3_600_000 });
    assert.deepEqual(stopPlan(undefined, {}), { mode: 'abort', deadlineMs: 20_000 });
  });

  it('an end of another kind, or without a deadline, is refused', () => {
    assert.throws(() => shutdownPlan({}, { DBACKUP_SHUTDOWN: 'wait' }, 'runner'), invalid);
    for (const seconds of ['0', '-1', 'soon', '1e9', '604801']) {
      assert.throws(() => shutdownPlan({}, { DBACKUP_SHUTDOWN_SECONDS: seconds }, 'runner'), invalid);
    }
    for (const settings of [{ shutdown: 'wait' }, { shutdownSeconds: 0 }, { shutdownSeconds: -1 }]) {
      assert.throws(() => readPackageSettings(settings), invalid);
    }
    assert.throws(() => stopPlan('0s', {}), invalid);
    assert.throws(() => stopPlan('ten minutes', {}), invalid);
  });

  it('a drain leaves time for cleaning up', async () => {
    assert.equal(drainMs({ mode: 'drain', deadlineMs: 600_000 }), 580_000);
    assert.equal(drainMs({ mode: 'drain', deadlineMs: 14_000 }), 7_000);
    assert.equal(drainMs({ mode: 'abort', deadlineMs: 20_000 }), 0);
    const clock = new FakeClock(0);
    const hurry = new AbortController();
    const until = drainSignal({ mode: 'drain', deadlineMs: 600_000 }, hurry.signal, clock);
    await clock.pass(579_999);
    assert.equal(until.aborted, false);
    await clock.pass(1);
    assert.equal(until.aborted, true);
    const hurried = drainSignal({ mode: 'drain', deadlineMs: 600_000 }, hurry.signal, clock);
    hurry.abort();
    assert.equal(hurried.aborted, true);
  });
});

describe('signals that stop the runner', () => {
  let stop: StopRequest;
  let told: string[];

  beforeEach(() => {
    told = [];
    stop = listenForStop({
      late: (_manner, code) => told.push(`late ${code}`),
      exit: (code: ExitCode) => told.push(`exit ${code}`),
    });
  });

  afterEach(() => stop.dispose());

  const signal = (name: NodeJS.Signals) => process.emit(name, name);

  it('ask first, and end at once when they come again', () => {
    signal('SIGTERM');
    assert.equal(stop.signal.aborted, true);
    assert.deepEqual([stop.exitCode, told], [143, []]);
    signal('SIGINT');
    assert.deepEqual(told, ['exit 130']);
    assert.equal(stop.exitCode, 143, 'the first one is what ended it');
  });

  it('end a drain when they come again, and the process with the third one', () => {
    const hurry = new AbortController();
    stop.adopt({ deadlineMs: 60_000, hurry });
    signal('SIGTERM');
    assert.equal(hurry.signal.aborted, false);
    signal('SIGTERM');
    assert.equal(hurry.signal.aborted, true);
    assert.deepEqual(told, []);
    signal('SIGTERM');
    assert.deepEqual(told, ['exit 143']);
  });

  it('end the process at the deadline, whatever goes on, and say so before', async () => {
    stop.adopt({ deadlineMs: 30 });
    signal('SIGINT');
    await until(() => told.length > 0);
    assert.deepEqual(told, ['late 130', 'exit 130']);
  });

  it('know no deadline without a signal', async () => {
    stop.adopt({ deadlineMs: 1 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.deepEqual(told, []);
  });
});
