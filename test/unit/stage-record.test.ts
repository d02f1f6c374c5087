import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { EngineEvents, RunProgress, RunResult } from '../../lib/runs/outcome.ts';
import { recordStages } from '../../lib/runs/stage-record.ts';
import { FakeClock } from '../support/fake-clock.ts';

describe('what the history is told of the stage of a run', () => {
  let clock: FakeClock;
  let written: string[];
  const events = () => {
    const emitter = new EventEmitter<EngineEvents>();
    const write = async (runId: string, text: string) => {
      written.push(`${runId} ${text}`);
      throw new Error('the store is gone');
    };
    recordStages(emitter, write, clock);
    return emitter;
  };
  const progress = (change: Partial<RunProgress> = {}): RunProgress => ({
    runId: 'r1',
    job: 'shop',
    stage: 'dumping',
    database: 'shop',
    index: 1,
    count: 1,
    nodes: [],
    rawBytes: 0,
    rate: 0,
    storedBytes: {},
    ...change,
  });

  beforeEach(() => {
    clock = new FakeClock('2026-05-01T12:00:00Z');
    written = [];
  });

  it('is written when it has changed, each five seconds at most, and may be lost', async () => {
    const engine = events();
    engine.emit('progress', progress());
    engine.emit('progress', progress({ rawBytes: 5 }));
    engine.emit('progress', progress({ stage: 'committing' }));
    await clock.pass(4_999);
    engine.emit('progress', progress({ stage: 'committing' }));
    assert.deepEqual(written, ['r1 dumping shop']);
    await clock.pass(1);
    engine.emit('progress', progress({ stage: 'committing' }));
    await clock.pass(60_000);
    engine.emit('progress', progress({ stage: 'committing', rawBytes: 7 }));
    assert.deepEqual(written, ['r1 dumping shop', 'r1 committing shop']);
  });

  it('is that of each run, and forgotten with its end', () => {
    const engine = events();
    engine.emit('progress', progress());
    engine.emit('progress', progress({ runId: 'r2', index: 2, count: 5 }));
    engine.emit('finished', { runId: 'r1' } as RunResult);
    engine.emit('progress', progress());
    assert.deepEqual(written, ['r1 dumping shop', 'r2 dumping shop (2 of 5)', 'r1 dumping shop']);
  });

  it('tells what it waits for', () => {
    const retry = { nodes: ['d'], attempt: 2, attempts: 5, seconds: 9 };
    events().emit('progress', progress({ stage: 'waiting', retry }));
    assert.deepEqual(written, ['r1 waiting for attempt 2 of 5: shop']);
  });
});
