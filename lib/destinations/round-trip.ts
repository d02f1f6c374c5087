import { randomBytes } from 'node:crypto';
import { BackupError } from '../errors.ts';
import type { DestinationDriver, DestinationProbe } from './driver.ts';

/** Size of the test object, in bytes. */
const PROBE_BYTES = 4096;

/**
 * Writes, reads back, lists and deletes a small object through any driver, in a folder of its own.
 * @throws BackupError what is wrong, from the step that failed
 */
export async function roundTrip(driver: DestinationDriver, signal: AbortSignal): Promise<DestinationProbe> {
  const folder = `dbackup-probe-${randomBytes(8).toString('hex')}`;
  const path = `${folder}/test`;
  const content = randomBytes(PROBE_BYTES);
  const pending = await driver.write(path, once(content), { signal, expectedBytes: content.length });
  try {
    await pending.commit();
  } catch (error) {
    await pending.abort();
    throw error;
  }
  try {
    const readBack: Buffer[] = [];
    for await (const chunk of await driver.read(path, { signal })) readBack.push(chunk);
    if (!Buffer.concat(readBack).equals(content)) {
      throw new BackupError('corrupt', `${driver.describe()} gave back other bytes than were written to it`);
    }
    const listed: string[] = [];
    for await (const object of driver.list(folder, signal)) listed.push(object.path);
    if (listed.length !== 1 || listed[0] !== path) {
      throw new BackupError('incomplete', `${driver.describe()} does not list what was written to it`);
    }
  } finally {
    await driver.remove(path, signal);
  }
  const freeBytes = await driver.freeSpace?.(signal);
  const free = freeBytes === undefined ? '' : `, ${(freeBytes / 1e9).toFixed(1)} GB free`;
  return {
    summary: `Wrote, read, listed and deleted a test file${free}`,
    ...(freeBytes === undefined ? {} : { freeBytes }),
  };
}

async function* once(content: Buffer): AsyncGenerator<Buffer, void> {
  yield content;
}
