import { BackupError } from '../../errors.ts';
import type { DestinationDriver } from '../driver.ts';
import { decodedPath, decodedUser, environmentSecret, refuseSecrets } from '../url-settings.ts';
import type { SftpOptionsInput } from './options.ts';
import { createSftpDestination } from './sftp.ts';

/**
 * `sftp://user@host:22/folder`. The folder lies below the login folder; `//folder` is one from the server's root.
 * Signs in with the key in the file DBACKUP_SFTP_KEY_FILE (its passphrase in DBACKUP_SFTP_PASSPHRASE), else with
 * DBACKUP_SFTP_PASSWORD, else with the agent of SSH_AUTH_SOCK. DBACKUP_SFTP_HOST_KEYS holds the fingerprints of
 * the host keys that are trusted, with blanks or commas between them.
 * @throws BackupError `invalid-config`
 */
export function openSftp(url: URL): DestinationDriver {
  refuseSecrets(url, 'DBACKUP_SFTP_PASSWORD');
  if (url.username === '') {
    throw new BackupError('invalid-config', 'The sftp URL names no user: write sftp://user@host/folder');
  }
  const hostKeys = (process.env.DBACKUP_SFTP_HOST_KEYS ?? '').split(/[\s,]+/).filter((key) => key !== '');
  return createSftpDestination({
    host: url.hostname.replace(/^\[|\]$/g, ''),
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    user: decodedUser(url),
    hostKeys,
    root: decodedPath(url).slice(1),
    ...signIn(),
  });
}

type SignIn = Pick<Extract<SftpOptionsInput, { auth: 'key' }>, 'auth' | 'keyFile' | 'passphrase'>;
type PasswordSignIn = Pick<Extract<SftpOptionsInput, { auth: 'password' }>, 'auth' | 'password'>;

function signIn(): SignIn | PasswordSignIn | { readonly auth: 'agent' } {
  const { DBACKUP_SFTP_KEY_FILE: keyFile = '', SSH_AUTH_SOCK: agent = '' } = process.env;
  if (keyFile !== '') {
    const passphrase = environmentSecret('DBACKUP_SFTP_PASSPHRASE');
    return { auth: 'key', keyFile, ...(passphrase === undefined ? {} : { passphrase }) };
  }
  const password = environmentSecret('DBACKUP_SFTP_PASSWORD');
  if (password !== undefined) return { auth: 'password', password };
  if (agent !== '') return { auth: 'agent' };
  throw new BackupError(
    'invalid-config',
    'The sftp URL needs a way to sign in: set DBACKUP_SFTP_KEY_FILE or DBACKUP_SFTP_PASSWORD in the environment, or start with SSH_AUTH_SOCK set',
  );
}
