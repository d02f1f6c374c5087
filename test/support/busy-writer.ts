import { createHash, randomBytes } from 'node:crypto';
import { createLocalDestination } from '../../lib/destinations/local/local.ts';

// Usage: busy-writer.ts <root>. Writes objects that bear their own SHA-256 as name, until it is killed.
const driver = createLocalDestination({ root: process.argv[2] ?? '' });
const signal = new AbortController().signal;
const body = randomBytes(3_000_000);

for (;;) {
  const head = randomBytes(16);
  const name = createHash('sha256').update(head).update(body).digest('hex');
  const pending = await driver.write(`job/${name}`, chunks(head), { signal });
  await pending.commit();
  process.stdout.write('.');
}

async function* chunks(head: Buffer): AsyncGenerator<Buffer> {
  yield head;
  for (let at = 0; at < body.length; at += 500_000) yield body.subarray(at, at + 500_000);
}
