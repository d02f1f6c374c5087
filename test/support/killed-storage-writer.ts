import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** A driver that another process can make. */
export interface DriverRecipe {
  /** The module's URL: `new URL('../../lib/destinations/…', import.meta.url).href`. */
  readonly module: string;
  /** Its exported function that makes the driver. */
  readonly create: string;
  /** What the function is given; plain JSON. */
  readonly options: unknown;
}

/**
 * Writes 3 MB to any destination from a process of its own, which is killed (SIGKILL) before it ends the
 * stream, or before it commits: what it leaves is what a crash leaves.
 */
export async function killedStorageWriter(
  recipe: DriverRecipe,
  path: string,
  stage: 'transfer' | 'commit' = 'transfer',
): Promise<void> {
  const script = new URL('./storage-writer-process.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [script, recipe.module, recipe.create, path, stage], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  child.stdin.end(JSON.stringify(recipe.options));
  const [said] = (await Promise.race([once(child.stdout, 'data'), exited])) as [unknown];
  child.kill('SIGKILL');
  await exited;
  if (String(said).trim() !== 'waiting') throw new Error(`the writer ended by itself: ${String(said)}`);
}
