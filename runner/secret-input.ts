import { readFile } from 'node:fs/promises';
import { BackupError, toBackupError } from '../lib/errors.ts';
import { knowSecret } from '../lib/logs/redact.ts';

/**
 * A secret from the file that an option names, else from the environment variable `name`, else from the
 * file that `<name>_FILE` names; the line break at the end of a file does not count.
 * @returns undefined when none is given
 * @throws BackupError `not-found` or `permission` for a file that cannot be read, `invalid-config` for an
 *   empty secret
 */
export async function secretFrom(
  name: string,
  optionFile: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
): Promise<string | undefined> {
  if (optionFile !== undefined) return readSecretFile(optionFile);
  const value = env[name];
  if (value !== undefined && value !== '') return knowSecret(value);
  const file = env[`${name}_FILE`];
  return file === undefined || file === '' ? undefined : readSecretFile(file);
}

/** The content of a file that holds one secret. */
export async function readSecretFile(file: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (thrown) {
    throw toBackupError(thrown, `The secret file ${file} cannot be read`);
  }
  const secret = text.replace(/\r?\n$/, '');
  if (secret === '') throw new BackupError('invalid-config', `The secret file ${file} is empty`);
  return knowSecret(secret);
}
