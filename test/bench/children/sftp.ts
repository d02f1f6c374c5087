import { readFile } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { createLocalDestination } from '../../../lib/destinations/local/local.ts';
import type { SftpOptionsInput } from '../../../lib/destinations/sftp/options.ts';
import { createSftpDestination } from '../../../lib/destinations/sftp/sftp.ts';
import { tuneProcess } from '../../../runner/tune-process.ts';

/* sftp.ts <settings.json> <upload|download> <file> <object>: one object by the driver; a download is thrown away. */
tuneProcess();
const [, , settings = '', direction = '', file = '', object = ''] = process.argv;
const options = JSON.parse(await readFile(settings, 'utf8')) as SftpOptionsInput;
const { signal } = new AbortController();
const driver = createSftpDestination(options);
if (direction === 'upload') {
  const source = createLocalDestination({ root: dirname(file) });
  const pending = await driver.write(object, await source.read(basename(file), { signal }), { signal });
  await pending.commit();
} else {
  const stream = await driver.read(object, { signal });
  for await (const chunk of stream) stream.release?.(chunk);
}
