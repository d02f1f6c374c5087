import { setTimeout as wait } from 'node:timers/promises';
import type { S3OptionsInput } from '../../lib/destinations/s3/options.ts';
import { createS3Destination } from '../../lib/destinations/s3/s3.ts';

// Usage: TEST_S3=<settings as JSON> s3-writer-process.ts <path>. Writes 12 MB and never ends its stream.
const [, , path = ''] = process.argv;
const settings = JSON.parse(process.env.TEST_S3 ?? '{}') as S3OptionsInput;

async function* neverEnding(): AsyncGenerator<Buffer> {
  for (let part = 0; part < 12; part += 1) yield Buffer.alloc(1_000_000, part);
  await wait(3_600_000);
}

await createS3Destination(settings).write(path, neverEnding(), { signal: new AbortController().signal });
