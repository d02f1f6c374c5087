import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createSampleDatabase } from '../../demo/sample-database.ts';
import { openStore } from '../../lib/store/store.ts';
import { type BackupRuntime, existingRuntime } from '../../nodes/runtime.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { type NodesRuntime, payloadOf, startNodes } from '../support/backup-nodes.ts';
import { FakeClock } from '../support/fake-clock.ts';
import { until } from '../support/until.ts';

interface Fired {
  readonly scheduledAt: string;
  readonly reason: string;
  readonly missed: number;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
/** MB/s at which a backup of the sample takes far longer than a test. */
const SLOW = 0.05;

const at = (
  id: string,
  type: string,
  wires: readonly (readonly string[])[],
  settings: object,
): FlowEntry => ({
  id,
  type,
  z: 'tab',
  x: 100,
  y: 100,
  name: id,
  wires,
  ...settings,
});

describe('schedule nodes in Node-RED', function () {
  this.timeout(120_000);
  let root: string;
  let dataDir: string;
  let clock: FakeClock;
  let nodes: NodesRuntime | undefined;

  before(() => {
    root = mkdtempSync(join(tmpdir(), 'dbackup-schedule-'));
    createSampleDatabase(join(root, 'shop.sqlite'), 1_000_000);
  });

  after(() => rmSync(root, { recursive: true, force: true }));

  beforeEach(() => {
    dataDir = mkdtempSync(join(root, 'data-'));
    clock = new FakeClock('2026-05-01T12:30:00Z');
  });

  afterEach(async () => {
    await nodes?.stop();
    nodes = undefined;
  });

  /** A schedule that fires every hour, with a recorder and whatever else behind it. */
  function flow(settings: object = {}, more: readonly FlowEntry[] = [], wires = ['fired']): FlowEntry[] {
    const hourly = { every: 'hours', hours: '1', minute: 0, zone: 'UTC' };
    return [
      { id: 'tab', type: 'tab', label: 'Test' },
      at('clock', 'dbackup-schedule', [wires], { ...hourly, ...settings }),
      at('fired', 'debug', [], {}),
      at('catch', 'catch', [['errors']], { scope: null }),
      at('errors', 'debug', [], {}),
      ...more,
    ];
  }

  /** A backup that goes on until it is cancelled. */
  function backup(rate: number | '' = SLOW): FlowEntry[] {
    return [
      at('src', 'dbackup-sqlite', [['dest']], { job: 'shop', files: [join(root, 'shop.sqlite')] }),
      at('dest', 'dbackup-local', [['stored']], { storage: 'storage', folder: '', rate }),
      at('stored', 'debug', [], {}),
      {
        id: 'storage',
        type: 'dbackup-local-storage',
        name: 'Disk',
        root: join(dataDir, 'sets'),
        create: true,
        reserveMiB: 0,
      },
    ];
  }

  async function start(flows: readonly FlowEntry[], settings: object = {}): Promise<NodesRuntime> {
    nodes = await startNodes(flows, { clock, settings: { dbackup: { dataDir, ...settings } } });
    await clock.pass(MINUTE_MS);
    return nodes;
  }

  async function restart(flows: readonly FlowEntry[]): Promise<NodesRuntime> {
    await nodes?.stop();
    return start(flows);
  }

  const running = (): BackupRuntime => {
    assert.ok(nodes !== undefined);
    const found = existingRuntime(nodes.runtime);
    assert.ok(found !== undefined);
    return found;
  };

  async function fires(count: number): Promise<string[]> {
    const messages = (await nodes?.records('fired', count)) ?? [];
    return messages.map((message) => {
      const { scheduledAt, reason, missed } = payloadOf<Fired>(message);
      return `${scheduledAt.slice(0, 16)} ${reason}${missed > 0 ? ` +${missed}` : ''}`;
    });
  }

  const warned = (pattern: RegExp) =>
    until(() => nodes?.lines.some(({ message }) => pattern.test(message)) ?? false);

  it('send a message at their times', async () => {
    await start(flow());
    await clock.until('2026-05-01T12:59:00Z');
    assert.deepEqual(nodes?.recorded('fired'), []);
    await clock.until('2026-05-01T13:00:00Z');
    assert.deepEqual(await fires(1), ['2026-05-01T13:00 schedule']);
    const [message] = nodes?.recorded('fired') ?? [];
    assert.deepEqual(Object.keys(message ?? {}).sort(), ['_msgid', 'payload', 'topic']);
    assert.equal(message?.topic, 'clock');
    await clock.until('2026-05-01T14:00:00Z');
    assert.equal((await fires(2)).length, 2);
  });

  it('start a backup', async () => {
    await start(flow({}, backup(''), ['fired', 'src']));
    await clock.until('2026-05-01T13:00:00Z');
    const [message] = (await nodes?.records('stored', 1)) ?? [];
    assert.equal(payloadOf<{ status: string }>(message).status, 'complete');
  });

  it('make up for what was missed while Node-RED was down, once, behind the start of the flow', async () => {
    await start(flow());
    await clock.until('2026-05-01T13:00:00Z');
    await fires(1);
    await nodes?.stop();
    clock.set('2026-05-01T18:20:00Z');
    await start(flow());
    assert.deepEqual(await fires(1), ['2026-05-01T18:00 catch-up +4']);
    await restart(flow());
    await clock.until('2026-05-01T19:00:00Z');
    assert.deepEqual(await fires(1), ['2026-05-01T19:00 schedule']);
  });

  it('say that they do not make up for what is too old', async () => {
    await start(flow({ catchUp: 1 }));
    await nodes?.stop();
    clock.set('2026-05-03T18:59:00Z');
    await start(flow({ every: 'day', time: '02:30', catchUp: 1 }));
    assert.deepEqual(nodes?.recorded('fired'), [], 'another timetable begins anew');
    await nodes?.stop();
    clock.set('2026-05-06T12:00:00Z');
    await start(flow({ every: 'day', time: '02:30', catchUp: 1 }));
    await warned(/Fires were missed and are not made up for: 3, the last planned for 2026-05-06 02:30/);
    assert.deepEqual(nodes?.recorded('fired'), []);
  });

  describe('whose backup still runs', () => {
    const busy = async (settings: object) => {
      await start(flow(settings, backup(), ['fired', 'src']));
      await clock.until('2026-05-01T13:00:00Z');
      await fires(1);
      await until(() =>
        running()
          .engine.activeRuns()
          .some(({ state }) => state === 'running'),
      );
    };
    const cancel = () => {
      const [run] = running().engine.activeRuns();
      running().engine.cancel(run?.runId ?? '', 'the test asks for it');
    };

    it('skip what comes meanwhile, and say where the messages are', async () => {
      await busy({ overlap: 'skip' });
      await clock.until('2026-05-01T14:00:00Z');
      await warned(/The fire of 2026-05-01 14:00 was skipped.*in: "dest" \(dbackup-local\)/);
      assert.equal(running().engine.activeRuns().length, 1);
      cancel();
      await until(() => !running().launches.isActive('clock'));
      await clock.until('2026-05-01T15:00:00Z');
      assert.deepEqual(await fires(2), ['2026-05-01T13:00 schedule', '2026-05-01T15:00 schedule']);
    });

    it('queue it, and fire when the backup has ended', async () => {
      await busy({ overlap: 'queue' });
      await clock.until('2026-05-01T15:10:00Z');
      assert.equal(nodes?.recorded('fired').length, 1);
      cancel();
      await until(async () => {
        await clock.pass(0);
        return nodes?.recorded('fired').length === 2;
      });
      assert.deepEqual((await fires(2))[1], '2026-05-01T15:00 schedule +1');
    });

    it('know it after a deploy that has replaced every node', async () => {
      const flows = flow({}, backup(), ['fired', 'src']);
      await busy({});
      const renamed = flows.map((entry) => (entry.z === 'tab' ? { ...entry, info: 'changed' } : entry));
      await nodes?.runtime.deploy(renamed.map(recorder), 'full');
      await clock.pass(MINUTE_MS);
      assert.equal(running().engine.activeRuns().length, 1);
      await clock.until('2026-05-01T14:00:00Z');
      await warned(/The fire of 2026-05-01 14:00 was skipped/);
      cancel();
      await until(() => !running().launches.isActive('clock'));
    });

    it('fire by hand all the same', async () => {
      await busy({});
      nodes?.runtime.fire('clock', { payload: 'fire' });
      assert.match((await fires(2))[1] ?? '', /manual$/);
      await until(() => running().engine.activeRuns().length === 2);
    });
  });

  it('wait for messages that no run has been opened with yet', async () => {
    const delay = {
      pauseType: 'delay',
      timeout: '30',
      timeoutUnits: 'seconds',
      rate: '1',
      nbRateUnits: '1',
      rateUnits: 'second',
      randomFirst: '1',
      randomLast: '5',
      randomUnits: 'seconds',
      drop: false,
    };
    await start(flow({}, [at('wait', 'delay', [['fired']], delay)], ['fired', 'wait']));
    await clock.until('2026-05-01T13:00:00Z');
    await fires(1);
    await clock.until('2026-05-01T14:00:00Z');
    await warned(/14:00 was skipped.*in: "wait" \(delay\)/);
  });

  it('are not busy any more when a node has lost the message', async () => {
    const func = { func: 'if (false) node.done(); return null;', outputs: 1 };
    await start(flow({}, [at('lose', 'function', [[]], func)], ['fired', 'lose']));
    await clock.until('2026-05-01T13:00:00Z');
    await fires(1);
    assert.equal(running().launches.isActive('clock'), true);
    const { now } = performance;
    try {
      performance.now = () => now.call(performance) + 7 * HOUR_MS;
      assert.equal(running().launches.isActive('clock'), false);
    } finally {
      performance.now = now;
    }
    await warned(/does not wait any longer for the message that "lose" \(function\) holds/);
  });

  describe('that are told what to do by messages', () => {
    it('pause across a restart, and resume', async () => {
      await start(flow());
      nodes?.runtime.fire('clock', { payload: 'pause' });
      await nodes?.runtime.tracker.idle();
      await clock.until('2026-05-01T15:30:00Z');
      await restart(flow());
      await clock.until('2026-05-01T17:30:00Z');
      assert.deepEqual(nodes?.recorded('fired'), []);
      nodes?.runtime.fire('clock', { command: 'resume' });
      await nodes?.runtime.tracker.idle();
      await clock.until('2026-05-01T18:00:00Z');
      assert.deepEqual(await fires(1), ['2026-05-01T18:00 schedule']);
    });

    it('fire at once, also while they are paused', async () => {
      await start(flow());
      nodes?.runtime.fire('clock', { payload: 'pause' });
      nodes?.runtime.fire('clock', { payload: 'fire' });
      assert.match((await fires(1))[0] ?? '', /^2026-05-01T12:31 manual$/);
    });

    it('fire although other processes that share them cannot be told, and say so', async () => {
      await start(flow(), { store: 'postgresql://postgres@127.0.0.1:1/postgres' });
      nodes?.runtime.fire('clock', { payload: 'fire' });
      assert.match((await fires(1))[0] ?? '', /manual$/);
      await warned(/Other processes do not see that the schedule was fired here.*127\.0\.0\.1:1/);
    });

    it('refuse what they do not know', async () => {
      await start(flow());
      nodes?.runtime.fire('clock', { payload: 'stop' });
      const [message] = (await nodes?.records('errors', 1)) ?? [];
      assert.match(message?.error?.message ?? '', /A schedule takes no message with "stop"/);
    });
  });

  for (const [what, settings, reason] of [
    ['an impossible cron', { every: 'cron', cron: '0 0 30 2 *' }, /cron "0 0 30 2 \*" never fires/],
    ['an unknown zone', { zone: 'Europe/Berln' }, /zone "Europe\/Berln" is no time zone/],
    ['a negative limit', { catchUp: -1 }, /catchUp must be at least 0/],
  ] as const) {
    it(`say at the deploy that they are not set up: ${what}`, async () => {
      await start(flow(settings));
      await warned(reason);
      assert.ok(nodes?.lines.some(({ level, message }) => level === 'error' && reason.test(message)));
      nodes?.runtime.fire('clock', { payload: 'fire' });
      const [message] = (await nodes?.records('errors', 1)) ?? [];
      assert.match(message?.error?.message ?? '', reason);
    });
  }

  it('fire by hand only where schedules are switched off, and touch no store', async () => {
    await start(flow(), { schedules: false });
    await clock.until('2026-05-01T15:00:00Z');
    assert.deepEqual(nodes?.recorded('fired'), []);
    nodes?.runtime.fire('clock', { command: 'fire' });
    assert.match((await fires(1))[0] ?? '', /manual$/);
    for (const command of ['pause', 'resume']) nodes?.runtime.fire('clock', { command });
    await clock.until('2026-05-03T15:00:00Z');
    assert.equal(nodes?.recorded('fired').length, 1);
    const store = await openStore(dataDir);
    const record = await store.schedule('clock').open('never opened', 1);
    await store.close();
    assert.equal(record.handled, 1);
  });

  it('stop at once when Node-RED ends', async () => {
    await start(flow());
    const { runtime } = nodes ?? assert.fail();
    const ending = runtime.stop('the test ends');
    clock.set('2026-05-01T14:00:00Z');
    await clock.pass(2 * HOUR_MS);
    await ending;
    assert.deepEqual(nodes?.recorded('fired'), []);
    assert.equal(clock.waiting, 0);
  });
});

function recorder(entry: FlowEntry): FlowEntry {
  return entry.type === 'debug' ? { ...entry, type: 'test-recorder' } : entry;
}
