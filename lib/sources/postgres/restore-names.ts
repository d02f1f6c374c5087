import { randomBytes } from 'node:crypto';
import { BackupError } from '../../errors.ts';

/** The server cuts longer names off quietly, in bytes (NAMEDATALEN - 1). */
const MAX_NAME_BYTES = 63;

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
  for (let number = 1; ; number++) {
    const name = suffixed(database, `_before_restore_${time}${number === 1 ? '' : `_${number}`}`);
    if (!taken.includes(name)) return name;
  }
}

/**
 * @throws BackupError `invalid-config` for a name that no database can get
 */
export function requireName(database: string): void {
  if (database === '') throw new BackupError('invalid-config', 'Name the database to restore into');
  if (database.includes('\0')) throw new BackupError('invalid-config', 'A database name has no zero bytes');
  const bytes = Buffer.byteLength(database);
  if (bytes > MAX_NAME_BYTES) {
    throw new BackupError(
      'invalid-config',
      `The name ${database} has ${bytes} bytes, PostgreSQL allows ${MAX_NAME_BYTES}: choose a shorter one`,
    );
  }
  if (database === 'template0' || database === 'template1') {
    throw new BackupError(
      'invalid-config',
      `${database} is what new databases are made from: restore under another name`,
    );
  }
}

/** Shortens the name, between characters, so that the suffix fits. */
function suffixed(name: string, suffix: string): string {
  const characters = [...name];
  while (Buffer.byteLength(characters.join('')) + suffix.length > MAX_NAME_BYTES) characters.pop();
  return characters.join('') + suffix;
}
