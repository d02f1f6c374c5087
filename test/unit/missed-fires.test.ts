import assert from 'node:assert/strict';
import { isMissed } from '../../lib/queue/missed-fires.ts';

const HOUR = 3_600_000;
const at = Date.parse('2026-03-01T02:00:00Z');

describe('a fire that processes share', () => {
  it('is not missed as long as it may be made up for', () => {
    const policy = { catchUpMs: 24 * HOUR };
    assert.equal(isMissed({ at }, policy, { now: at + 23 * HOUR, since: at + 23 * HOUR }), false);
    assert.equal(isMissed({ at }, policy, { now: at + 25 * HOUR, since: at + 25 * HOUR }), true);
  });

  it('is not missed while a process may start again', () => {
    const policy = { catchUpMs: 0 };
    assert.equal(isMissed({ at }, policy, { now: at + 300_000, since: at + 299_000 }), false);
    assert.equal(isMissed({ at }, policy, { now: at + 900_000, since: at + 899_000 }), true);
  });

  it('is not missed when an earlier backup has held it up, however long', () => {
    const policy = { catchUpMs: 0 };
    assert.equal(isMissed({ at }, policy, { now: at + 5 * HOUR, since: at - HOUR }), false);
  });
});
