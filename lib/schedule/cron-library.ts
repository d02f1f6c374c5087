import { createRequire } from 'node:module';
import { BackupError } from '../errors.ts';

export type CronLibrary = typeof import('croner');

const require = createRequire(import.meta.url);

/**
 * The package that reads cron expressions, loaded when it is needed first; at once, since settings are checked
 * without waiting.
 * @throws BackupError `unavailable` when it is not installed
 */
export function cronLibrary(): CronLibrary {
  try {
    return require('croner') as CronLibrary;
  } catch (cause) {
    throw new BackupError(
      'unavailable',
      'Schedules need the package croner: install it with npm install croner',
      { cause },
    );
  }
}
