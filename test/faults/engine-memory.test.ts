import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const GB = 1e9;
/** Queues of the forks, blocks in flight, and what the garbage collector has not fetched yet. In bytes. */
const ALLOWED_GROWTH = 250e6;
const PROGRAM = fileURLToPath(new URL('../support/memory-process.ts', import.meta.url));

describe('engine: memory', () => {
  it('stays bounded over 2 GB and a fork with a slow branch', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--import',
      'tsx',
      PROGRAM,
      String(2 * GB),
      String(0.15 * GB),
    ]);
    const { state, rawBytes, growth } = JSON.parse(stdout) as Record<string, unknown>;
    assert.deepEqual([state, rawBytes], ['succeeded', 2 * GB]);
    assert.ok(typeof growth === 'number' && growth < ALLOWED_GROWTH, `grew by ${growth} bytes`);
  }).timeout(300_000);
});
