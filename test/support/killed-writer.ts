import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Writes 3 MB to a local destination from a process of its own, which is killed (SIGKILL) before it ends
 * the stream: what it leaves is what a crash leaves.
 */
export async function killedWriter(root: string, path: string): Promise<void> {
  const script = new URL('./writer-process.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, root, path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const [said] = (await Promise.race([once(child.stdout, 'data'), exited])) as [unknown];
  child.kill('SIGKILL');
  await exited;
  if (String(said).trim() !== 'waiting') throw new Error(`the writer ended by itself: ${String(said)}`);
}
