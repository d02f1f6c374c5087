import { BackupError } from '../lib/errors.ts';
import { DEFAULT_QUEUE_LIMITS, MOST_AT_A_TIME, type QueueLimits } from '../lib/queue/limits.ts';
import type { PackageSettings } from './package-settings.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * How many runs may go on at a time, in all (`DBACKUP_CONCURRENCY`, else `concurrency` of settings.js, else 2) and on one
 * database server (`DBACKUP_PER_SERVER`, else `perServer`, else 1).
 * @throws BackupError `invalid-config`
 */
export function queueLimits({ concurrency, perServer }: PackageSettings, env: Environment): QueueLimits {
  return {
    concurrency: limitIn(env, 'DBACKUP_CONCURRENCY') ?? concurrency ?? DEFAULT_QUEUE_LIMITS.concurrency,
    perServer: limitIn(env, 'DBACKUP_PER_SERVER') ?? perServer ?? DEFAULT_QUEUE_LIMITS.perServer,
  };
}

function limitIn(env: Environment, name: string): number | undefined {
  const text = env[name]?.trim() ?? '';
  if (text === '') return undefined;
  const limit = Number(text);
  if (/^\d+$/.test(text) && limit >= 1 && limit <= MOST_AT_A_TIME) return limit;
  throw new BackupError(
    'invalid-config',
    `${name} is ${JSON.stringify(text)}: give it how many runs may go on at a time, from 1 to ${MOST_AT_A_TIME}`,
  );
}
