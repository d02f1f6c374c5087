import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { z } from 'zod';
import { manifest } from '../lib/backupset/manifest.ts';
import { flowEnvironment, QUICK_START, RUNNER } from './workspace.ts';

const finishedRun = z.object({
  event: z.literal('run-finished'),
  state: z.string(),
  openedAt: z.coerce.date(),
  finishedAt: z.coerce.date(),
  rawBytes: z.number(),
  destinations: z.array(
    z.object({
      label: z.string(),
      set: z.object({ storage: z.string(), path: z.string(), storedBytes: z.number() }),
    }),
  ),
});

export type FinishedRun = z.infer<typeof finishedRun>;

/** Runs the quick-start flow with the real runner. @throws Error when it does not succeed */
export async function backUp(): Promise<FinishedRun> {
  const lines = (await dbackup('run', QUICK_START, '--json')).trim().split('\n');
  const events = lines.map((line) => finishedRun.safeParse(JSON.parse(line)));
  const run = events.find((event) => event.success)?.data;
  if (run?.state !== 'succeeded') throw new Error(`The run did not succeed:\n${lines.join('\n')}`);
  return run;
}

/** The newest set in that storage. */
export async function newestManifest(storage: string): Promise<z.infer<typeof manifest>> {
  return manifest.parse(JSON.parse(await dbackup('show', 'latest', '--storage', storage, '--json')));
}

/** Decrypts and decompresses the newest set in that storage and compares every hash. */
export async function verify(storage: string): Promise<void> {
  await dbackup('verify', 'latest', '--storage', storage, '--level', 'content');
}

export async function restore(storage: string, to: string): Promise<void> {
  await dbackup('restore', 'latest', '--storage', storage, '--to', to);
}

/** @returns what the command wrote to stdout @throws Error with what it said when it fails */
async function dbackup(...args: string[]): Promise<string> {
  const child = spawn(process.execPath, [RUNNER, ...args], {
    env: flowEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const [code] = await once(child, 'close');
  if (code === 0) return out;
  throw new Error(`dbackup ${args[0]} ended with exit code ${code}\n${errors}${out}`);
}
