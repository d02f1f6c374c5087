import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import { MIGRATIONS } from '../../lib/store/migrations.ts';
import { openStore, STORE_FILE, type Store } from '../../lib/store/store.ts';

const NOW = Date.parse('2026-05-01T12:00:00Z');
const HOUR_MS = 3_600_000;

describe('what the store remembers of schedules', () => {
  let dataDir: string;
  const stores: Store[] = [];

  const open = async (): Promise<Store> => {
    const store = await openStore(dataDir);
    stores.push(store);
    return store;
  };

  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'dbackup-schedules-'));
  });

  afterEach(async () => {
    // One after the other: they would wait for each other in this one process.
    for (const store of stores.splice(0)) await store.close();
    rmSync(dataDir, { recursive: true, force: true });
  });

  it('begins now, and is the same after a restart', async () => {
    const store = await open();
    assert.deepEqual(await store.schedule('a').open('t', NOW), { handled: NOW, paused: false });
    assert.equal(await store.schedule('a').claim(NOW + HOUR_MS), true);
    await store.schedule('a').pause();
    await store.close();
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

  it('is added to the store of a version that knew none, without loss', async () => {
    const { '0001_history': history } = MIGRATIONS;
    assert.ok(history);
    const old = await openStore(dataDir, { '0001_history': history });
    await old.journal.opened({ id: 'r1', job: 'shop', openedAt: new Date(NOW) });
    await old.close();
    const store = await open();
    assert.equal((await store.runs()).length, 1);
    assert.deepEqual(await store.schedule('a').open('t', NOW), { handled: NOW, paused: false });
  });

  it('says what to do when it cannot be written', async () => {
    const store = await open();
    const memory = store.schedule('a');
    await memory.open('t', NOW);
    // What a disk that went read-only does to an open database.
    const other = new Database(join(dataDir, STORE_FILE));
    other.exec("CREATE TRIGGER no_writes BEFORE UPDATE ON schedules BEGIN SELECT RAISE(ABORT, 'no'); END");
    other.close();
    await assert.rejects(memory.claim(NOW + HOUR_MS), /The store .*dbackup\.db cannot be used/);
  });
});
