import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { ActiveRun } from '../../lib/engine/backup-engine.ts';
import { BackupError } from '../../lib/errors.ts';
import { CancelWatch } from '../../lib/runs/cancel-watch.ts';
import type { EngineEvents } from '../../lib/runs/outcome.ts';
import { FakeClock } from '../support/fake-clock.ts';

describe('what others want to end', () => {
  const world = () => {
    const clock = new FakeClock('2026-03-01T02:00:00Z');
    const events = new EventEmitter<EngineEvents>();
    const active: ActiveRun[] = [];
    const cancelled: string[] = [];
    const asked: string[][] = [];
    const reasons = new Map<string, string>();
    let failing = false;
    const watch = new CancelWatch({
      clock,
      engine: {
        events,
        activeRuns: () => [...active],
        cancel: (runId, reason) => cancelled.push(`${runId}: ${reason}`) > 0,
      },
      requested: async (runs) => {
        asked.push([...runs]);
        if (failing) throw new BackupError('unavailable', 'The store is away');
        return new Map([...reasons].filter(([run]) => runs.includes(run)));
      },
    });
    const begin = (runId: string) => {
      active.push({ runId, job: 'shop', state: 'planning', nodes: [], servers: [] });
      events.emit('state', { runId, job: 'shop', state: 'planning', nodes: [] });
    };
    const fail = (is: boolean) => {
      failing = is;
    };
    return { clock, active, cancelled, asked, reasons, watch, begin, fail };
  };

  it('is looked for every two seconds, as long as a run goes on', async () => {
    const { clock, active, cancelled, asked, reasons, begin } = world();
    await clock.pass(60_000);
    assert.deepEqual(asked, []);
    begin('a');
    begin('b');
    await clock.pass(4_000);
    assert.deepEqual(asked, [
      ['a', 'b'],
      ['a', 'b'],
    ]);
    assert.deepEqual(cancelled, []);
    reasons.set('b', 'a person asked').set('other', 'of another process');
    await clock.pass(2_000);
    assert.deepEqual(cancelled, ['b: a person asked']);
    active.length = 0;
    await clock.pass(60_000);
    assert.equal(asked.length, 4, 'once more, and then no more');
    assert.equal(clock.waiting, 0);
  });

  it('is found later when the store is away for a while', async () => {
    const { clock, cancelled, reasons, begin, fail } = world();
    begin('a');
    reasons.set('a', 'enough');
    fail(true);
    await clock.pass(10_000);
    assert.deepEqual(cancelled, []);
    fail(false);
    await clock.pass(2_000);
    assert.deepEqual(cancelled, ['a: enough']);
  });

  it('is not looked for any more when everything ends', async () => {
    const { clock, asked, watch, begin } = world();
    begin('a');
    watch.close();
    await clock.pass(10_000);
    assert.deepEqual(asked, []);
  });
});
