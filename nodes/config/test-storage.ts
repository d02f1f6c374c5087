import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import type { ActionAnswer } from '../form-actions.ts';
import { formatBytes } from '../status/quantities.ts';

/** Tells whether backups could be stored there now: writes, reads and deletes a small object. */
export async function testStorage(driver: DestinationDriver, signal: AbortSignal): Promise<ActionAnswer> {
  const { summary, freeBytes } = await driver.probe(signal);
  if (freeBytes === undefined) return { level: 'ok', text: 'test.ok', values: { summary } };
  return { level: 'ok', text: 'test.okFree', values: { summary, free: formatBytes(freeBytes) } };
}
