import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import type { DestinationDriver } from '../../lib/destinations/driver.ts';

// Usage: storage-writer-process.ts <module> <function> <path>, and the driver's options as JSON on stdin, since they
// may hold a password. Writes 3 MB, says "waiting", and never ends its stream.
const [, , module = '', name = '', path = ''] = process.argv;

async function* neverEnding(): AsyncGenerator<Buffer> {
  for (let part = 0; part < 30; part += 1) yield Buffer.alloc(100_000, part);
  await wait(200);
  process.stdout.write('waiting\n');
  await wait(3_600_000);
}

const options: unknown = JSON.parse(await text(process.stdin));
const exports: Record<string, (options: unknown) => DestinationDriver> = await import(module);
const create = exports[name];
if (create === undefined) throw new Error(`${module} exports no ${name}`);
await create(options).write(path, neverEnding(), { signal: new AbortController().signal });
