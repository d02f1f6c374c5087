import assert from 'node:assert/strict';
import { ProgressMeter } from '../../lib/engine/progress.ts';
import type { RunProgress } from '../../lib/runs/outcome.ts';
import { until } from '../support/until.ts';

describe('progress meter', () => {
  let told: RunProgress[];
  let meter: ProgressMeter;
  const last = () => told.at(-1);
  beforeEach(() => {
    told = [];
    meter = new ProgressMeter({ runId: 'r', job: 'shop', nodes: ['n'] }, (progress) => told.push(progress));
  });

  it('tells of one database after the other, each from its own beginning', () => {
    const one = meter.begin('one', 2, undefined);
    assert.deepEqual(last(), {
      runId: 'r',
      job: 'shop',
      nodes: ['n'],
      stage: 'dumping',
      database: 'one',
      index: 1,
      count: 2,
      rawBytes: 0,
      rate: 0,
      storedBytes: {},
    });
    one.started(1000);
    one.raw(400);
    one.stored('disk', 100);
    one.committing();
    assert.deepEqual(pick(last()), ['committing', 'one', 1, 400, 1000, { disk: 100 }]);
    one.end();
    const two = meter.begin('two', 2, 50);
    assert.deepEqual(pick(last()), ['dumping', 'two', 2, 0, 50, {}]);
    two.end();
  });

  it('sums up databases that are dumped at a time', () => {
    const one = meter.begin('one', 4, 1000);
    const two = meter.begin('two', 4, 500);
    one.raw(400);
    two.raw(100);
    one.stored('disk', 40);
    two.stored('disk', 10);
    two.stored('far', 7);
    one.committing();
    assert.deepEqual(pick(last()), ['dumping', '2 databases', 2, 500, 1500, { disk: 50, far: 7 }]);
    one.end();
    const three = meter.begin('three', 4, undefined);
    assert.deepEqual(pick(last()), ['dumping', '2 databases', 3, 100, undefined, { disk: 10, far: 7 }]);
    two.end();
    three.committing();
    assert.deepEqual(pick(last()), ['committing', 'three', 3, 0, undefined, {}]);
    three.end();
  });

  it('goes on showing the last database while the set is completed and healed', () => {
    const one = meter.begin('one', 1, 10);
    one.raw(10);
    one.stored('disk', 5);
    one.end();
    meter.stage('committing');
    assert.deepEqual(pick(last()), ['committing', 'one', 1, 10, 10, { disk: 5 }]);
    meter.stored('far', 3);
    meter.stage('healing');
    assert.deepEqual(pick(last()), ['healing', 'one', 1, 10, 10, { disk: 5, far: 3 }]);
  });

  it('has a rate that is never negative, though what has ended is no longer counted', async () => {
    const one = meter.begin('one', 2, undefined);
    const two = meter.begin('two', 2, undefined);
    one.raw(1_000_000);
    two.raw(10);
    one.end();
    const later = performance.now() + 300;
    await until(() => performance.now() > later);
    two.raw(20);
    assert.equal(last()?.rawBytes, 20);
    assert.ok((last()?.rate ?? 0) > 0);
    for (const { rate } of told) assert.ok(rate >= 0);
    two.end();
  });
});

function pick(progress: RunProgress | undefined) {
  return [
    progress?.stage,
    progress?.database,
    progress?.index,
    progress?.rawBytes,
    progress?.expectedBytes,
    progress?.storedBytes,
  ];
}
