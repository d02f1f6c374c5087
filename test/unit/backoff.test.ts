import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import fc from 'fast-check';
import { pause, pauseBefore } from '../../lib/backoff.ts';
import { BackupError } from '../../lib/errors.ts';

const BACKOFF = { firstMs: 250, longestMs: 20_000 };

describe('pauses between attempts', () => {
  it('have a bound that doubles and never becomes endless', () => {
    const most = (failed: number) => pauseBefore(failed, BACKOFF, () => 1);
    assert.deepEqual([1, 2, 3, 4].map(most), [250, 500, 1000, 2000]);
    assert.equal(most(50), 20_000);
    assert.equal(most(5000), 20_000);
  });

  it('are anywhere below it, so that those who failed together do not come back together', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 60 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (failed, at) => {
          assert.equal(
            pauseBefore(failed, BACKOFF, () => at),
            at * pauseBefore(failed, BACKOFF, () => 1),
          );
        },
      ),
    );
    const drawn = new Set(Array.from({ length: 50 }, () => pauseBefore(4, BACKOFF)));
    assert.ok(drawn.size > 1);
    assert.ok([...drawn].every((ms) => ms >= 0 && ms <= 2000));
  });

  it('end at once when they are aborted, with the reason, and leave no listener', async () => {
    const controller = new AbortController();
    const paused = pause(3_600_000, controller.signal);
    controller.abort(new BackupError('aborted', 'a person asked'));
    await assert.rejects(paused, /a person asked/);
    await assert.rejects(pause(3_600_000, controller.signal), /a person asked/);
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
    const other = new AbortController();
    await pause(1, other.signal);
    assert.equal(getEventListeners(other.signal, 'abort').length, 0);
  });
});
