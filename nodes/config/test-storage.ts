import type { DestinationDriver } from '../../lib/destinations/driver.ts';
import type { ActionAnswer } from '../form-actions.ts';

/** Tells whether backups could be stored there now: writes, reads and deletes a small object. */
export async function testStorage(driver: DestinationDriver, signal: AbortSignal): Promise<ActionAnswer> {
  const { summary } = await driver.probe(signal);
  return { level: 'ok', text: 'test.ok', values: { summary } };
}
