import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../support/exit-process.ts', import.meta.url));
/** Much less than the shortest of the engine's timers that a leak would leave behind. */
const SOON_MS = 30_000;

describe('engine: what a process is left with', () => {
  it('ends by itself after runs that failed, hung and were cancelled, without an unhandled rejection', async () => {
    const child = spawn(process.execPath, ['--unhandled-rejections=strict', '--trace-warnings', PROGRAM], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    let late: NodeJS.Timeout | undefined;
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
      late = setTimeout(() => child.kill('SIGKILL'), SOON_MS);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const [code, killedBy] = (await once(child, 'close')) as [number | null, string | null];
    clearTimeout(late);
    assert.equal(stdout, 'done 1', stderr);
    assert.deepEqual([code, killedBy], [0, null], 'something keeps the process alive');
  });
});
