import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { openStore } from '../../lib/store/store.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { MissedSchedule } from '../support/missed-schedule.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { dbackup, eventsOf, type RunnerEvent, RunnerProcess } from '../support/runner-process.ts';

describe('dbackup with a schedule', function () {
  this.timeout(240_000);
  const missed = new MissedSchedule();
  let work: RunnerWorkspace;
  let running: RunnerProcess | undefined;

  beforeEach(() => {
    work = new RunnerWorkspace();
  });

  afterEach(async () => {
    running?.kill('SIGKILL');
    await running?.finished;
    running = undefined;
    work.remove();
  });

  /** The usual flow, started by a schedule in place of the inject node. */
  function flow(settings: object = {}, more: readonly FlowEntry[] = []): string {
    return work.flow({ settings: { go: { ...missed.settings, ...settings } }, more });
  }

  /** Another schedule with a backup of its own: when it has fired, the first one has had its turn, too. */
  function probe(): FlowEntry[] {
    const at = { z: 'tab', x: 1, y: 1, schemaVersion: 1 };
    return [
      { id: 'probe', ...at, ...missed.settings, wires: [['probed']] },
      { id: 'probed', ...at, type: 'dbackup-sqlite', job: 'probe', files: [work.database], wires: [['far']] },
    ];
  }

  function serve(file: string): RunnerProcess {
    running = new RunnerProcess(['serve', file, '--port', '0', '--json'], { env: work.env() });
    return running;
  }

  const setsIn = (folder: string) => readdirSync(join(folder, 'shop'));

  it('serve makes up for what was missed while it was down, once', async () => {
    await missed.recordIn(work.data, 'go', 'probe');
    const runner = serve(flow());
    const finished = await runner.event('run-finished');
    assert.equal(finished.state, 'succeeded');
    runner.kill('SIGTERM');
    const { code, stdout } = await runner.finished;
    assert.equal(code, 143);
    assert.equal(eventsOf(stdout).filter(({ event }) => event === 'run-opened').length, 1);
    assert.equal(setsIn(work.first).length, 1);
  });

  it('serve fires nothing while it is paused, and ends at once when it is told to', async () => {
    await missed.recordIn(work.data, 'go', 'probe');
    const store = await openStore(work.data);
    await store.schedule('go').pause();
    await store.close();
    const runner = serve(flow({}, probe()));
    await runner.event('run-finished');
    runner.kill('SIGINT');
    const { code, stdout } = await runner.finished;
    assert.equal(code, 130);
    assert.deepEqual(
      opened(stdout).map(({ job }) => job),
      ['probe'],
    );
  });

  it('run fires it once by hand, and leaves what it has missed alone', async () => {
    await missed.recordIn(work.data, 'go');
    const { code, stdout } = await dbackup(['run', flow(), '--json'], { env: work.env() });
    assert.equal(code, 0, stdout);
    assert.equal(opened(stdout).length, 1);
    assert.equal(setsIn(work.first).length, 1);
    const store = await openStore(work.data);
    const record = await store.schedule('go').open(missed.timetable, Date.now());
    await store.close();
    assert.equal(record.handled, missed.handled);
  });

  it('run asks which is meant when there are several', async () => {
    const other: FlowEntry = {
      id: 'other',
      type: 'dbackup-schedule',
      z: 'tab',
      x: 1,
      y: 1,
      name: 'weekly',
      every: 'cron',
      cron: '@weekly',
      schemaVersion: 1,
      wires: [['src']],
    };
    const file = work.flow({ more: [other] });
    const which = await dbackup(['run', file], { env: work.env() });
    assert.equal(which.code, 2);
    assert.match(which.stderr, /Several nodes could be meant: choose one with --trigger \(.*weekly/);
    const { code } = await dbackup(['run', file, '--trigger', 'weekly'], { env: work.env() });
    assert.equal(code, 0);
  });

  for (const [what, settings, message] of [
    ['an impossible cron', { every: 'cron', cron: '0 0 30 2 *' }, /cron: "0 0 30 2 \*" never fires/],
    ['an unknown zone', { zone: 'Europe/Berln' }, /zone: "Europe\/Berln" is no time zone/],
    ['a negative limit', { jitter: -5 }, /jitter: must be at least 0/],
  ] as const) {
    it(`validate and serve refuse ${what}, before anything is made`, async () => {
      const file = flow(settings);
      const checked = await dbackup(['validate', file], { env: work.env() });
      assert.equal(checked.code, 2);
      assert.match(checked.stdout, message);
      const served = await dbackup(['serve', file, '--port', '0'], { env: work.env() });
      assert.equal(served.code, 2);
      assert.match(served.stderr, message);
    });
  }

  it('serve ends with 3 when the data directory cannot be written', async () => {
    const env = work.env({ DBACKUP_DATA: join(work.database, 'data') });
    const { code, stderr } = await dbackup(['serve', flow(), '--port', '0'], { env });
    assert.equal(code, 3);
    assert.match(stderr, /The store .* cannot be/);
  });
});

function opened(stdout: string): RunnerEvent[] {
  return eventsOf(stdout).filter(({ event }) => event === 'run-opened');
}
