import assert from 'node:assert/strict';
import { setTimeout as wait } from 'node:timers/promises';
import { drain } from '../../lib/bytes/drain.ts';
import { throttle } from '../../lib/bytes/throttle.ts';
import { BackupError } from '../../lib/errors.ts';
import { collect, cut, noise } from '../support/byte-streams.ts';

const never = new AbortController().signal;

async function secondsFor(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

describe('throttle', () => {
  it('passes the bytes unchanged', async () => {
    const data = noise(50_000);
    assert.ok((await collect(throttle(cut(data, 1, 5000, 0, 77), 1e9, never))).equals(data));
  });

  it('keeps the rate, with small and with large chunks', async () => {
    for (const size of [100, 200_000]) {
      const seconds = await secondsFor(() => drain(throttle(cut(noise(200_000), size), 400_000, never)));
      // The first piece goes at once, and debts below the shortest sleep are left.
      assert.ok(seconds > 0.2, `${size}: ${seconds} s`);
    }
  });

  it('gives a slow rate evenly instead of one large chunk after a long pause', async () => {
    const pieces: number[] = [];
    for await (const piece of throttle(cut(noise(100_000), 100_000), 200_000, never))
      pieces.push(piece.length);
    assert.ok(Math.max(...pieces) <= 50_000);
  });

  it('does not make up for a long stall by a burst', async () => {
    async function* stalling() {
      yield noise(10);
      await wait(1600);
      yield* cut(noise(150_000), 1000);
    }
    const seconds = await secondsFor(() => drain(throttle(stalling(), 100_000, never)));
    assert.ok(seconds > 1.6 + 0.35, `${seconds} s`);
  });

  it('stops at once when the signal fires during a wait', async () => {
    const controller = new AbortController();
    setTimeout(() => controller.abort(new BackupError('stalled', 'deadline')), 30);
    const seconds = await secondsFor(() =>
      assert.rejects(drain(throttle(cut(noise(100_000), 10_000), 1000, controller.signal)), {
        code: 'stalled',
        message: 'deadline',
      }),
    );
    assert.ok(seconds < 5);
  });
});
