import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Store } from '../../lib/store/store.ts';
import { describeStores } from '../support/stores.ts';

describeStores('a store that processes share', (testStore) => {
  const children: ChildProcess[] = [];

  afterEach(async () => {
    await Promise.all(children.splice(0).map(kill));
  });

  function start(id: string, mode: 'hold' | 'write'): ChildProcess {
    const script = fileURLToPath(new URL('store-process.ts', import.meta.url));
    const args = [script, testStore.dataDir, id, mode];
    const child = spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...testStore.env },
    });
    children.push(child);
    return child;
  }

  /** In PostgreSQL the dead are told by their silence, which takes its time. */
  async function dead(child: ChildProcess): Promise<void> {
    await testStore.sql(`UPDATE instances SET lease_ms = 1 WHERE pid = ${child.pid}`);
  }

  it('fails the runs of a killed process and leaves those of a living one', async function () {
    this.timeout(240_000);
    const dying = start('dying', 'hold');
    const living = start('living', 'hold');
    await Promise.all([ready(dying), ready(living)]);

    const before = await testStore.open();
    assert.deepEqual(before.interrupted, []);
    assert.deepEqual(await statesOf(before), { dying: 'running', living: 'running' });
    await before.close();

    await kill(dying);
    await dead(dying);
    const after = await testStore.open();
    assert.deepEqual(after.interrupted, ['dying']);
    assert.deepEqual(await statesOf(after), { dying: 'failed', living: 'running' });
    const failed = (await after.runs()).find((run) => run.id === 'dying');
    assert.equal(failed?.error?.code, 'aborted');
    const cause = `pid ${dying.pid} on .* ended before the run did; it was last seen dumping shop`;
    assert.match(failed?.error?.message ?? '', new RegExp(cause));
    await after.close();
    const again = await testStore.open();
    assert.deepEqual(again.interrupted, []);
  });

  it('takes the writes of several processes that open an empty one at once', async function () {
    this.timeout(240_000);
    const writers = ['a', 'b', 'c'].map((id) => start(id, 'write'));
    const codes = await Promise.all(writers.map(async (writer) => (await once(writer, 'exit'))[0]));
    assert.deepEqual(codes, [0, 0, 0]);
    const store = await testStore.open();
    const runs = await store.runs({ limit: 1000 });
    assert.equal(runs.length, 75);
    assert.ok(runs.every((run) => run.state === 'succeeded' && run.artifacts.length === 1));
    await store.close();
    const locks = join(testStore.dataDir, 'instances');
    assert.deepEqual(existsSync(locks) ? readdirSync(locks) : [], []);
  });
});

async function statesOf(store: Store): Promise<Record<string, string>> {
  return Object.fromEntries((await store.runs()).map((run) => [run.id, run.state]));
}

async function ready(child: ChildProcess): Promise<void> {
  assert.ok(child.stdout);
  await once(child.stdout, 'data');
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
