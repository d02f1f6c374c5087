import assert from 'node:assert/strict';
import { Lease } from '../../lib/queue/lease.ts';
import { FakeClock } from '../support/fake-clock.ts';

const BEAT_MS = 15_000;

describe('the lease of work that processes share', () => {
  let clock: FakeClock;
  let held: boolean | Error;
  let asked: number;
  let lease: Lease;

  beforeEach(() => {
    clock = new FakeClock('2026-05-01T12:00:00Z');
    held = true;
    asked = 0;
    const keep = async () => {
      asked += 1;
      if (held instanceof Error) throw held;
      return held;
    };
    lease = new Lease({ keep }, { beatMs: BEAT_MS, clock });
  });

  afterEach(() => lease.end());

  it('is prolonged again and again, until it is lost', async () => {
    await clock.pass(4 * BEAT_MS);
    assert.deepEqual([asked, lease.lost.aborted], [4, false]);
    held = false;
    await clock.pass(BEAT_MS);
    assert.equal(lease.lost.aborted, true);
    await clock.pass(4 * BEAT_MS);
    assert.equal(asked, 5);
  });

  it('is found lost by who asks, before it is to be prolonged', async () => {
    assert.equal(await lease.isLost(), false);
    held = false;
    assert.equal(await lease.isLost(), true);
    assert.equal(lease.lost.aborted, true);
    assert.equal(await lease.isLost(), true);
    assert.equal(asked, 2);
  });

  it('is not lost while it has not ended, although the server is away, and not known afterwards', async () => {
    await clock.pass(BEAT_MS);
    held = new Error('the server is away');
    await clock.pass(3.9 * BEAT_MS);
    assert.equal(await lease.isLost(), false);
    await clock.pass(0.2 * BEAT_MS);
    await assert.rejects(lease.isLost(), {
      code: 'unavailable',
      message: /another process has taken this fire of the schedule over: the server is away/,
    });
    held = true;
    assert.equal(await lease.isLost(), false);
  });

  it('may have been lost while the machine was suspended', async () => {
    await clock.pass(BEAT_MS);
    held = new Error('the network is not there yet');
    clock.set('2026-05-01T18:00:00Z');
    await assert.rejects(lease.isLost(), { code: 'unavailable', transient: true });
  });

  it('is nobody else’s once its work is over', async () => {
    await lease.settle(async () => undefined);
    lease.end();
    held = false;
    assert.equal(await lease.isLost(), false);
    assert.equal(asked, 0);
  });
});
