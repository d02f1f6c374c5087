import { BackupError } from '../lib/errors.ts';
import { HISTORY_DAYS, HISTORY_RUNS, LEASE_SECONDS } from '../lib/store/limits.ts';
import { type StorePlace, storePlace } from '../lib/store/place.ts';
import type { StoreOptions } from '../lib/store/store.ts';
import type { PackageSettings } from './package-settings.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** Where the history is kept, how much of it, and how soon a silent process is dead to others. */
export interface StoreSettings extends Required<Pick<StoreOptions, 'keep' | 'leaseMs'>> {
  readonly place: StorePlace;
}

/**
 * `DBACKUP_STORE`, `DBACKUP_HISTORY_DAYS`, `DBACKUP_HISTORY_RUNS` and `DBACKUP_LEASE_SECONDS`, else as settings.js says.
 * @throws BackupError `invalid-config`, and of a secret file that cannot be read
 */
export function storeSettings(dataDir: string, settings: PackageSettings, env: Environment): StoreSettings {
  const { store, historyDays, historyRuns, leaseSeconds } = settings;
  const lease = limitIn(env, 'DBACKUP_LEASE_SECONDS', LEASE_SECONDS);
  return {
    place: storePlace(dataDir, env, { setting: store }),
    keep: {
      days: limitIn(env, 'DBACKUP_HISTORY_DAYS', HISTORY_DAYS) ?? historyDays ?? HISTORY_DAYS.default,
      runs: limitIn(env, 'DBACKUP_HISTORY_RUNS', HISTORY_RUNS) ?? historyRuns ?? HISTORY_RUNS.default,
    },
    leaseMs: (lease ?? leaseSeconds ?? LEASE_SECONDS.default) * 1000,
  };
}

interface Limit {
  readonly default: number;
  readonly least: number;
  readonly most: number;
}

function limitIn(env: Environment, name: string, limit: Limit): number | undefined {
  const text = env[name]?.trim() ?? '';
  if (text === '') return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= limit.least && value <= limit.most) return value;
  const all = limit.least === 0 ? ', or 0 to keep all' : '';
  throw new BackupError(
    'invalid-config',
    `${name} is ${JSON.stringify(text)}: give it a whole number from ${limit.least} to ${limit.most}, as ${limit.default}${all}`,
  );
}
