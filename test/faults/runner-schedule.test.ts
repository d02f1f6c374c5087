import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { openStore, type Store } from '../../lib/store/store.ts';
import type { FlowEntry } from '../../runner/runtime.ts';
import { MissedSchedule } from '../support/missed-schedule.ts';
import { RunnerWorkspace } from '../support/runner-flows.ts';
import { eventsOf, RunnerProcess } from '../support/runner-process.ts';

/** Killed at these times after it has begun, in ms: some before the fire is recorded, some after. */
const KILLED_AFTER = [0, 20, 150];

describe('dbackup serve, killed with SIGKILL while a schedule fires', function () {
  this.timeout(600_000);
  const missed = new MissedSchedule();
  let work: RunnerWorkspace;
  let running: RunnerProcess | undefined;

  before(() => {
    work = new RunnerWorkspace(200_000);
  });

  after(async () => {
    running?.kill('SIGKILL');
    await running?.finished;
    work.remove();
  });

  /** Two schedules, each with a backup of its own: the second one tells when the first has had its turn. */
  function flow(): string {
    const at = { z: 'tab', x: 1, y: 1, schemaVersion: 1 };
    const more: FlowEntry[] = [
      { id: 'probe', ...at, ...missed.settings, wires: [['probed']] },
      { id: 'probed', ...at, type: 'dbackup-sqlite', job: 'probe', files: [work.database], wires: [['far']] },
    ];
    return work.flow({
      settings: { go: missed.settings, enc: { wires: [['near']] } },
      more,
    });
  }

  async function withStore<T>(use: (store: Store) => Promise<T>): Promise<T> {
    const store = await openStore(work.data);
    try {
      return await use(store);
    } finally {
      await store.close();
    }
  }

  const runsOf = (job: string) =>
    withStore(async (store) => (await store.runs({ job, limit: 1000 })).map(({ id }) => id));

  const serve = () => new RunnerProcess(['serve', flow(), '--port', '0', '--json'], { env: work.env() });

  it('runs what was planned once at the most, and the next planned time all the same', async () => {
    let fired = 0;
    for (const afterMs of KILLED_AFTER) {
      await missed.recordIn(work.data, 'go', 'probe');
      const before = new Set(await runsOf('shop'));
      const killed = serve();
      running = killed;
      await killed.event('listening');
      // The schedules wait for a second until the flow has settled.
      await killed.seen((stdout) =>
        eventsOf(stdout).some(({ event }) => event === 'run-opened') ? true : undefined,
      );
      await wait(afterMs);
      killed.kill('SIGKILL');
      await killed.finished;

      await missed.recordIn(work.data, 'probe');
      const next = serve();
      running = next;
      await next.seen((stdout) =>
        eventsOf(stdout).some(({ event, job }) => event === 'run-finished' && job === 'probe')
          ? true
          : undefined,
      );
      next.kill('SIGTERM');
      assert.equal((await next.finished).code, 143);
      const runs = (await runsOf('shop')).filter((id) => !before.has(id));
      assert.ok(runs.length <= 1, `killed after ${afterMs} ms: ${runs.join()}`);
      fired += runs.length;
    }
    assert.ok(fired > 0, 'a test in which nothing fires tries nothing');
  });
});
