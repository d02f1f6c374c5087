import { createRequire } from 'node:module';
import { BackupError } from '../errors.ts';

export type LiquidLibrary = typeof import('liquidjs');

const require = createRequire(import.meta.url);

/**
 * The package that renders templates, loaded when one is used first; at once, since settings are checked without waiting.
 * @throws BackupError `unavailable` when it is not installed
 */
export function liquidLibrary(): LiquidLibrary {
  try {
    return require('liquidjs') as LiquidLibrary;
  } catch (cause) {
    throw new BackupError(
      'unavailable',
      'Templates of notifications need the package liquidjs: install it with npm install liquidjs',
      { cause },
    );
  }
}
