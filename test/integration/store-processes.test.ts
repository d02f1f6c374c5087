import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openStore } from '../../lib/store/store.ts';

describe('store shared by processes', function () {
  this.timeout(240_000);
  let dataDir: string;
  const children: ChildProcess[] = [];

  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'dbackup-store-'));
  });

  afterEach(async () => {
    await Promise.all(children.splice(0).map(kill));
    rmSync(dataDir, { recursive: true, force: true });
  });

  function start(id: string, mode: 'hold' | 'write'): ChildProcess {
    const script = fileURLToPath(new URL('store-process.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', script, dataDir, id, mode], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    children.push(child);
    return child;
  }

  it('fails the runs of a killed process and leaves those of a living one', async () => {
    const dying = start('dying', 'hold');
    const living = start('living', 'hold');
    await Promise.all([ready(dying), ready(living)]);

    const before = await openStore(dataDir);
    assert.deepEqual(before.interrupted, []);
    assert.deepEqual(await statesOf(before), { dying: 'running', living: 'running' });
    await before.close();

    await kill(dying);
    const after = await openStore(dataDir);
    assert.deepEqual(after.interrupted, ['dying']);
    assert.deepEqual(await statesOf(after), { dying: 'failed', living: 'running' });
    const failed = (await after.runs()).find((run) => run.id === 'dying');
    assert.equal(failed?.error?.code, 'aborted');
    assert.match(failed?.error?.message ?? '', new RegExp(`pid ${dying.pid} on .* ended before the run did`));
    await after.close();

    await kill(living);
    const last = await openStore(dataDir);
    assert.deepEqual(last.interrupted, ['living']);
    await last.close();
    assert.equal((await reopenedInterrupted(dataDir)).length, 0);
  });

  it('takes the writes of several processes that start on an empty folder at once', async () => {
    const writers = ['a', 'b', 'c'].map((id) => start(id, 'write'));
    const codes = await Promise.all(writers.map(async (writer) => (await once(writer, 'exit'))[0]));
    assert.deepEqual(codes, [0, 0, 0]);
    const store = await openStore(dataDir);
    const runs = await store.runs({ limit: 1000 });
    assert.equal(runs.length, 75);
    assert.ok(runs.every((run) => run.state === 'succeeded' && run.artifacts.length === 1));
    await store.close();
    assert.deepEqual(readdirSync(join(dataDir, 'instances')), []);
  });
});

async function statesOf(store: Awaited<ReturnType<typeof openStore>>): Promise<Record<string, string>> {
  return Object.fromEntries((await store.runs()).map((run) => [run.id, run.state]));
}

async function reopenedInterrupted(dataDir: string): Promise<readonly string[]> {
  const store = await openStore(dataDir);
  await store.close();
  return store.interrupted;
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
