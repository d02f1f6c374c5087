import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';

// Usage: storage-writer-process.ts <module> <function> <path> <stage>, and the driver's options as JSON on stdin, since
// they may hold a password. Writes 3 MB and says "waiting": stage `transfer` without ever ending its stream, stage
// `commit` with everything transferred, and without committing it.
const [, , module = '', name = '', path = '', stage = ''] = process.argv;

async function* bytes(): AsyncGenerator<Buffer> {
  for (let part = 0; part < 30; part += 1) yield Buffer.alloc(100_000, part);
  if (stage === 'commit') return;
  await wait(200);
  await waitForTheEnd();
}

async function waitForTheEnd(): Promise<void> {
  process.stdout.write('waiting\n');
  await wait(3_600_000);
}

const options: unknown = JSON.parse(await text(process.stdin));
const exports: Record<string, (options: unknown) => DestinationDriver> = await import(module);
const create = exports[name];
if (create === undefined) throw new Error(`${module} exports no ${name}`);
await create(options).write(path, bytes(), { signal: new AbortController().signal });
await waitForTheEnd();
