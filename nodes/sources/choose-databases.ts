import type { DatabaseInfo, SourceDriver } from '../../lib/sources/driver.ts';
import { type Selection, selectNames } from '../../lib/sources/server/selection.ts';
import type { ActionAnswer } from '../form-actions.ts';
import { formatBytes } from '../status/quantities.ts';

/** What marks databases among the things that a server source dumps. */
const DATABASE = /^database:/;

/**
 * Tells which databases a server holds, each as an entry for the list of those to dump, and how many of them
 * the selection takes now.
 * @param everything a source of that server that leaves nothing out
 */
export async function chooseDatabases(
  everything: SourceDriver,
  selection: Selection,
  signal: AbortSignal,
): Promise<ActionAnswer> {
  const databases = (await everything.listDatabases(signal)).filter(({ id }) => DATABASE.test(id));
  const names = databases.map(({ name }) => name);
  const selected = new Set(selectNames(names, selection));
  const missing = [...selected].filter((name) => !names.includes(name));
  const meant = databases.filter(({ name }) => selected.has(name));
  return {
    level: missing.length > 0 || meant.length === 0 ? 'warning' : 'ok',
    text: missing.length > 0 ? 'databases.missing' : 'databases.found',
    values: {
      selected: meant.length,
      count: databases.length,
      total: formatBytes(sizeOf(meant)),
      missing: missing.join(', '),
    },
    rows: databases.map(({ name, bytes }) => ({
      name,
      detail: bytes === undefined ? '' : formatBytes(bytes),
      entry: entryFor(name),
    })),
  };
}

/**
 * The pattern that means this name and, as far as a form can hold it, no other one. Forms drop blanks at the
 * ends of an entry and take `${…}` for a variable: any one character stands for those.
 */
export function entryFor(name: string): string {
  return name
    .replaceAll(/[*?\\]/g, String.raw`\$&`)
    .replaceAll(/^\s+|\s+$/g, (blanks) => '?'.repeat([...blanks].length))
    .replaceAll(/\$(?=[{(])/g, '?');
}

function sizeOf(databases: readonly DatabaseInfo[]): number {
  return databases.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0);
}
