import { setTimeout as wait } from 'node:timers/promises';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';

// Usage: writer-process.ts <root> <path>. Writes 3 MB, says "waiting", and never ends its stream.
const [, , root = '', path = ''] = process.argv;

async function* neverEnding(): AsyncGenerator<Buffer> {
  for (let part = 0; part < 30; part += 1) yield Buffer.alloc(100_000, part);
  await wait(200);
  process.stdout.write('waiting\n');
  await wait(3_600_000);
}

await createLocalDestination({ root }).write(path, neverEnding(), { signal: new AbortController().signal });
