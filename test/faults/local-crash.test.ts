import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';
import { never } from '../conformance/destination/fixture.ts';
import { collect, sha256 } from '../support/byte-streams.ts';

/** Killed that many times, at moments spread over writing, syncing and committing. */
const KILLS = 10;

describe('local destination: kill -9', () => {
  let root: string;

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'dbackup-crash-'));
  });

  afterEach(async () => await rm(root, { recursive: true, force: true }));

  it('lists only whole objects, and sweeps the rest', async function () {
    this.timeout(240_000);
    const driver = createLocalDestination({ root });
    let whole = 0;
    for (let kill = 0; kill < KILLS; kill += 1) {
      await writeUntilKilled(root, 30 + kill * 17);
      for await (const { path } of driver.list('', never)) {
        const content = await collect(await driver.read(path, { signal: never }));
        assert.equal(path, `job/${sha256(content)}`, 'the content that its name promises');
        whole += 1;
        await driver.remove(path, never);
      }
      await driver.sweep(new Date(Date.now() + 60_000), never);
      const files = (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) =>
        entry.isFile(),
      );
      assert.deepEqual(files, [], `after kill ${kill}`);
    }
    assert.ok(whole > 0, 'some objects were committed');
  });
});

async function writeUntilKilled(root: string, afterMs: number): Promise<void> {
  const script = new URL('../support/busy-writer.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, root], { stdio: ['ignore', 'pipe', 'inherit'] });
  const exited = once(child, 'exit');
  await once(child.stdout, 'data');
  await wait(afterMs);
  child.kill('SIGKILL');
  const [, signal] = (await exited) as [number | null, string | null];
  assert.equal(signal, 'SIGKILL', 'it ran until it was killed');
}
