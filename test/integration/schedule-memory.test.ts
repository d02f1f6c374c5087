import assert from 'node:assert/strict';
import { describeStores } from '../support/stores.ts';

const NOW = Date.parse('2026-05-01T12:00:00Z');
const HOUR_MS = 3_600_000;

describeStores('what the store remembers of schedules', (store) => {
  const open = () => store.open();

  it('begins now, and is the same after a restart', async () => {
    const opened = await open();
    assert.deepEqual(await opened.schedule('a').open('t', NOW), { handled: NOW, paused: false });
    assert.equal(await opened.schedule('a').claim(NOW + HOUR_MS), true);
    await opened.schedule('a').pause();
    await opened.close();
    const again = await open();
    const record = await again.schedule('a').open('t', NOW + 5 * HOUR_MS);
    assert.deepEqual(record, { handled: NOW + HOUR_MS, paused: true });
    assert.deepEqual(await again.schedule('b').open('t', NOW), { handled: NOW, paused: false });
  });

  it('begins again with another timetable, and stays paused', async () => {
    const memory = (await open()).schedule('a');
    await memory.open('t', NOW);
    await memory.pause();
    const later = NOW + 9 * HOUR_MS;
    assert.deepEqual(await memory.open('other', later), { handled: later, paused: true });
    assert.deepEqual(await memory.open('other', later + 1), { handled: later, paused: true });
  });

  it('gives each fire away once, in order, and none while it is paused', async () => {
    const [one, other] = [(await open()).schedule('a'), (await open()).schedule('a')];
    await one.open('t', NOW);
    assert.equal(await one.claim(NOW), false);
    const claims = await Promise.all([one, other, one, other].map((memory) => memory.claim(NOW + HOUR_MS)));
    assert.deepEqual(claims.sort(), [false, false, false, true]);
    assert.equal(await other.claim(NOW + HOUR_MS - 1), false);
    await other.pause();
    assert.equal(await one.claim(NOW + 2 * HOUR_MS), false);
    await one.resume(NOW + 3 * HOUR_MS);
    assert.deepEqual(await other.open('t', NOW), { handled: NOW + 3 * HOUR_MS, paused: false });
  });

  it('is not made to forget by a clock that has gone back, unless it is told to begin again', async () => {
    const memory = (await open()).schedule('a');
    await memory.open('t', NOW);
    await memory.resume(NOW - HOUR_MS);
    assert.equal((await memory.open('t', NOW)).handled, NOW);
    await memory.restart(NOW - HOUR_MS);
    assert.equal((await memory.open('t', NOW)).handled, NOW - HOUR_MS);
  });
});
