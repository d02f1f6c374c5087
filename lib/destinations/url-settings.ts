import { readFileSync } from 'node:fs';
import { BackupError, toBackupError } from '../errors.ts';
import { knowSecret } from '../logs/redact.ts';

/**
 * Refuses what does not belong into the URL of a storage: a password would be in the list of processes, in the
 * shell's history and in logs.
 * @throws BackupError `invalid-config`, without the URL
 */
export function refuseSecrets(url: URL, variable: string): void {
  const kind = url.protocol.slice(0, -1);
  if (url.password !== '') {
    throw new BackupError(
      'invalid-config',
      `The ${kind} URL holds a password: remove it there, and set ${variable} in the environment instead`,
    );
  }
  if (url.search !== '' || url.hash !== '') {
    throw new BackupError(
      'invalid-config',
      `The ${kind} URL holds ? or #: write them as %3F and %23 in a path`,
    );
  }
}

/** The path of a URL with its escapes resolved. @throws BackupError `invalid-config` */
export function decodedPath(url: URL): string {
  return decoded(url, 'path', url.pathname);
}

/** The user of a URL with its escapes resolved; empty when it names none. @throws BackupError `invalid-config` */
export function decodedUser(url: URL): string {
  return decoded(url, 'user', url.username);
}

function decoded(url: URL, part: string, text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    const kind = url.protocol.slice(0, -1);
    throw new BackupError(
      'invalid-config',
      `The ${part} of the ${kind} URL holds a % that escapes nothing: write it as %25`,
    );
  }
}

/**
 * A secret from the environment variable of that name, else from the file that `<name>_FILE` names; the line
 * break at its end does not count.
 * @throws BackupError `not-found` or `permission` for a file that cannot be read
 */
export function environmentSecret(
  name: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  const value = env[name];
  if (value !== undefined && value !== '') return knowSecret(value);
  const file = env[`${name}_FILE`];
  if (file === undefined || file === '') return undefined;
  try {
    return knowSecret(readFileSync(file, 'utf8').replace(/\r?\n$/, ''));
  } catch (error) {
    throw toBackupError(error, `The secret file ${file} cannot be read`);
  }
}
