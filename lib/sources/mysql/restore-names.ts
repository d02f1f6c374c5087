import { randomBytes } from 'node:crypto';
import { BackupError } from '../../errors.ts';

/** https://dev.mysql.com/doc/refman/8.4/en/identifier-length.html, in characters. */
const MAX_NAME_CHARACTERS = 64;
const SYSTEM = ['information_schema', 'mysql', 'performance_schema', 'sys'];

/** The name of a database that is being restored: `shop_restoring_1f2e3d4c`. */
export function temporaryName(database: string): string {
  return suffixed(database, `_restoring_${randomBytes(4).toString('hex')}`);
}

/**
 * The name under which a replaced database is kept: `shop_before_restore_20260131T101500Z`.
 * @param taken the databases that are there
 */
export function keptName(database: string, at: Date, taken: readonly string[]): string {
  const time = at.toISOString().replaceAll(/[-:]|\.\d+/g, '');
  const others = new Set(taken.map((name) => name.toLowerCase()));
  for (let number = 1; ; number++) {
    const name = suffixed(database, `_before_restore_${time}${number === 1 ? '' : `_${number}`}`);
    if (!others.has(name.toLowerCase())) return name;
  }
}

/** @throws BackupError `invalid-config` for a name that no database can get, or that is the server's own */
export function requireName(database: string): void {
  if (database === '') throw new BackupError('invalid-config', 'Name the database to restore into');
  if (/\0|[\u{10000}-\u{10ffff}]|\s$/u.test(database)) {
    throw new BackupError(
      'invalid-config',
      `${JSON.stringify(database)} cannot be the name of a database: it has a zero byte, a character beyond U+FFFF or a blank at its end`,
    );
  }
  const characters = [...database].length;
  if (characters > MAX_NAME_CHARACTERS) {
    throw new BackupError(
      'invalid-config',
      `The name ${database} has ${characters} characters, MySQL allows ${MAX_NAME_CHARACTERS}: choose a shorter one`,
    );
  }
  if (SYSTEM.includes(database.toLowerCase())) {
    throw new BackupError('invalid-config', `${database} is the server's own: restore under another name`);
  }
}

function suffixed(name: string, suffix: string): string {
  return [...name].slice(0, MAX_NAME_CHARACTERS - suffix.length).join('') + suffix;
}
