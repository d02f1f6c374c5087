import { stat } from 'node:fs/promises';
import { type StorePlace, storePlace } from '../lib/store/place.ts';
import { sqliteFile } from '../lib/store/sqlite.ts';
import { openStore, type Store } from '../lib/store/store.ts';
import { dataDirectory, type FlowOptions } from './flow-input.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Which history is meant. */
export type HistoryOptions = Pick<FlowOptions, 'data' | 'userDir' | 'store'>;

/** Opens the history, where there is one: a question does not make it. */
export async function openHistory(options: HistoryOptions, env: Environment): Promise<Store | undefined> {
  const place = historyPlace(options, env);
  if (place.kind === 'sqlite') {
    const exists = await stat(sqliteFile(place.dataDir)).catch(() => undefined);
    if (exists === undefined) return undefined;
  }
  return await openStore(place);
}

/**
 * Asks the history of this installation. A question does not make one.
 * @returns undefined when there is none
 * @throws BackupError when it cannot be opened, and what `ask` throws
 */
export async function askHistory<Answer>(
  options: HistoryOptions,
  env: Environment,
  ask: (store: Store) => Promise<Answer>,
): Promise<Answer | undefined> {
  const store = await openHistory(options, env);
  if (store === undefined) return undefined;
  try {
    return await ask(store);
  } finally {
    await store.close();
  }
}

/** Where it is: `--store`, the environment, the data directory. @throws BackupError `invalid-config` */
export function historyPlace(options: HistoryOptions, env: Environment): StorePlace {
  return storePlace(dataDirectory(options, env), env, { option: options.store });
}
