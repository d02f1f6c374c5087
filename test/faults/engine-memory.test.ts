import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const GB = 1e9;
/** Queues of the forks, blocks in flight, and what the garbage collector has not fetched yet. In bytes. */
const ALLOWED_GROWTH = 250e6;
const PROGRAM = fileURLToPath(new URL('../support/memory-process.ts', import.meta.url));

/** What the engine grew by, in bytes, while it backed up that many databases of that size at a time. */
async function growthOver(databases: number, bytes: number): Promise<number> {
  const args = [databases, bytes, 0.15 * GB].map(String);
  const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, ...args]);
  const { state, rawBytes, growth } = JSON.parse(stdout) as Record<string, unknown>;
  assert.deepEqual([state, rawBytes], ['succeeded', databases * bytes]);
  assert.ok(typeof growth === 'number');
  return growth;
}

describe('engine: memory', () => {
  it('stays bounded over 2 GB and a fork with a slow branch', async () => {
    const growth = await growthOver(1, 2 * GB);
    assert.ok(growth < ALLOWED_GROWTH, `grew by ${growth} bytes`);
  }).timeout(300_000);

  it('stays bounded over 4 databases at a time', async () => {
    const growth = await growthOver(4, 0.5 * GB);
    assert.ok(growth < ALLOWED_GROWTH, `grew by ${growth} bytes`);
  }).timeout(300_000);
});
