import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { StorageTurn } from '../../lib/destinations/storage-turn.ts';
import { BackupError } from '../../lib/errors.ts';

const STALL_MS = 100;

describe("a storage's turn", () => {
  function turnOf(controller = new AbortController(), graceMs?: number) {
    const options = { complaint: 'nas took no data', stallMs: STALL_MS, signal: controller.signal };
    const turn = new StorageTurn(graceMs === undefined ? options : { ...options, graceMs });
    return { turn, controller, reason: () => turn.signal.reason as unknown };
  }

  it('is over for a storage that keeps us waiting, which is named', async () => {
    const { turn, reason } = turnOf();
    turn.begin();
    await sleep(3 * STALL_MS);
    const error = reason();
    assert.ok(error instanceof BackupError && error.code === 'stalled' && error.transient);
    assert.match(error.message, /nas took no data for 1 s: the storage hangs/);
    turn.close();
  });

  it('does not count while we keep the storage waiting, nor when it is closed', async () => {
    const { turn } = turnOf();
    turn.begin();
    turn.over();
    await sleep(3 * STALL_MS);
    turn.close();
    turn.begin();
    await sleep(3 * STALL_MS);
    assert.equal(turn.signal.aborted, false);
  });

  it('lasts longer where more patience is asked for', async () => {
    const { turn } = turnOf();
    turn.begin(50);
    await sleep(3 * STALL_MS);
    assert.equal(turn.signal.aborted, false);
    turn.close();
  });

  it('ends with the run, at once or after a grace, and leaves no listener', async () => {
    const at = turnOf();
    const after = turnOf(at.controller, 2 * STALL_MS);
    at.controller.abort(new BackupError('aborted', 'cancelled'));
    assert.match(String(at.reason()), /cancelled/);
    assert.equal(after.turn.signal.aborted, false);
    await sleep(4 * STALL_MS);
    assert.match(String(after.reason()), /cancelled/);
    assert.equal(turnOf(at.controller).turn.signal.aborted, true, 'also when the run ended before');
    const { turn, controller } = turnOf();
    turn.close();
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
  });
});
