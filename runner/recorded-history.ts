import { stat } from 'node:fs/promises';
import { storePlace } from '../lib/store/place.ts';
import { sqliteFile } from '../lib/store/sqlite.ts';
import { openStore, type Store } from '../lib/store/store.ts';
import { dataDirectory, type FlowOptions } from './flow-input.ts';

/**
 * Asks the history of this installation. A question does not make one.
 * @returns undefined when there is none
 * @throws BackupError when it cannot be opened, and what `ask` throws
 */
export async function askHistory<Answer>(
  options: Pick<FlowOptions, 'data' | 'userDir'>,
  env: Readonly<Record<string, string | undefined>>,
  ask: (store: Store) => Promise<Answer>,
): Promise<Answer | undefined> {
  const place = storePlace(dataDirectory(options, env), env);
  if (place.kind === 'sqlite') {
    const exists = await stat(sqliteFile(place.dataDir)).catch(() => undefined);
    if (exists === undefined) return undefined;
  }
  const store = await openStore(place);
  try {
    return await ask(store);
  } finally {
    await store.close();
  }
}
