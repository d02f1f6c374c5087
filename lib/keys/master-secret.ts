import { readFile } from 'node:fs/promises';
import { BackupError, toBackupError } from '../errors.ts';
import { knowSecret } from '../logs/redact.ts';
import { secretProblem } from './strength.ts';

const VARIABLE = 'DBACKUP_MASTER_KEY';
const FILE_VARIABLE = 'DBACKUP_MASTER_KEY_FILE';

export interface MasterSecretSources {
  /** From Node-RED's credentials; a form left blank gives ''. */
  readonly credential?: string | undefined;
  readonly env: Readonly<NodeJS.ProcessEnv>;
}

/**
 * The master secret that opens the vault: the credential, else DBACKUP_MASTER_KEY, else the content of the
 * file that DBACKUP_MASTER_KEY_FILE names (its last line break does not count). Undefined when none is set.
 * @throws BackupError `invalid-config` when the chosen one is empty or weak, or both variables are set;
 *   `not-found` or `permission` when the file cannot be read
 */
export async function masterSecret({ credential, env }: MasterSecretSources): Promise<string | undefined> {
  if (credential !== undefined && credential !== '') return checked(credential, 'The master secret');
  const value = env[VARIABLE];
  const file = env[FILE_VARIABLE];
  if (value !== undefined && file !== undefined) {
    throw new BackupError(
      'invalid-config',
      `Both ${VARIABLE} and ${FILE_VARIABLE} are set: keep one of them`,
    );
  }
  if (value !== undefined) return checked(value, VARIABLE);
  if (file !== undefined) return checked(await readSecret(file), `The file of ${FILE_VARIABLE}`);
  return undefined;
}

async function readSecret(file: string): Promise<string> {
  if (file === '') throw new BackupError('invalid-config', `${FILE_VARIABLE} is empty: name a file`);
  try {
    return (await readFile(file, 'utf8')).replace(/\r?\n$/, '');
  } catch (error) {
    throw toBackupError(error, `The file of ${FILE_VARIABLE} cannot be read`);
  }
}

function checked(secret: string, what: string): string {
  const problem = secretProblem(secret);
  if (problem !== undefined) throw new BackupError('invalid-config', `${what} ${problem}`);
  return knowSecret(secret);
}
