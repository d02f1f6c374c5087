import type { SourceDriver } from '../../lib/sources/driver.ts';
import type { ActionAnswer } from '../form-actions.ts';
import { formatBytes } from '../status/quantities.ts';

/** Tells which databases a backup with these settings would dump now. */
export async function listDatabases(driver: SourceDriver, signal: AbortSignal): Promise<ActionAnswer> {
  const { warnings } = await driver.probe(signal);
  const databases = await driver.listDatabases(signal);
  const rows = databases.map(({ name, bytes }) => ({
    name,
    detail: bytes === undefined ? '' : formatBytes(bytes),
  }));
  const total = databases.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0);
  return {
    level: warnings.length > 0 ? 'warning' : 'ok',
    text: 'databases.found',
    values: { count: databases.length, total: formatBytes(total) },
    rows,
    notes: warnings,
  };
}
