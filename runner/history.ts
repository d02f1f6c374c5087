import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { storePlace } from '../lib/store/place.ts';
import { openStore, STORE_FILE, type Store } from '../lib/store/store.ts';
import { dataDirectory, type FlowOptions } from './flow-input.ts';

/** Opens the history, where there is one: a question does not make it. */
export async function openHistory(
  options: Pick<FlowOptions, 'data' | 'userDir'>,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Store | undefined> {
  const dataDir = dataDirectory(options, env);
  const place = storePlace(dataDir, env);
  if (place.kind === 'sqlite') {
    const exists = await stat(join(dataDir, STORE_FILE)).catch(() => undefined);
    if (exists === undefined) return undefined;
  }
  return await openStore(place);
}
