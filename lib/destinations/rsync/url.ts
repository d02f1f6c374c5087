import { BackupError } from '../../errors.ts';
import type { DestinationDriver } from '../driver.ts';
import { decodedPath, decodedUser, environmentSecret, refuseSecrets } from '../url-settings.ts';
import type { RsyncOptionsInput } from './options.ts';
import { createRsyncDestination } from './rsync.ts';

/**
 * `rsync://user@host:873/module/folder`: an rsync daemon, whose password is DBACKUP_RSYNC_PASSWORD.
 * @throws BackupError `invalid-config`
 */
export function openRsyncDaemon(url: URL): DestinationDriver {
  refuseSecrets(url, 'DBACKUP_RSYNC_PASSWORD');
  const [module = '', ...folders] = decodedPath(url).slice(1).split('/');
  if (module === '') {
    throw new BackupError(
      'invalid-config',
      'The rsync URL names no module: write rsync://host/module/folder',
    );
  }
  const password = environmentSecret('DBACKUP_RSYNC_PASSWORD');
  return createRsyncDestination({
    transport: 'daemon',
    ...serverOf(url),
    module,
    user: decodedUser(url),
    ...(password === undefined ? {} : { password }),
    root: folders.join('/'),
  });
}

/**
 * `rsync+ssh://user@host:22/folder`: a host with rsync. The folder lies below the login folder; `//folder` is one from
 * the host's root. Signs in with the key in the file DBACKUP_RSYNC_KEY_FILE (its passphrase in
 * DBACKUP_RSYNC_PASSPHRASE), else with DBACKUP_RSYNC_PASSWORD, else with the agent of SSH_AUTH_SOCK.
 * DBACKUP_RSYNC_HOST_KEYS holds the fingerprints of the host keys that are trusted, with blanks or commas between them.
 * @throws BackupError `invalid-config`
 */
export function openRsyncSsh(url: URL): DestinationDriver {
  refuseSecrets(url, 'DBACKUP_RSYNC_PASSWORD');
  if (url.username === '') {
    throw new BackupError(
      'invalid-config',
      'The rsync+ssh URL names no user: write rsync+ssh://user@host/folder',
    );
  }
  const hostKeys = (process.env.DBACKUP_RSYNC_HOST_KEYS ?? '').split(/[\s,]+/).filter((key) => key !== '');
  if (hostKeys.length === 0) {
    throw new BackupError(
      'invalid-config',
      `The rsync+ssh URL needs the host keys of ${url.hostname}: set DBACKUP_RSYNC_HOST_KEYS to what ssh-keygen -lf prints for them there`,
    );
  }
  return createRsyncDestination({
    ...signIn(),
    ...serverOf(url),
    user: decodedUser(url),
    hostKeys,
    root: decodedPath(url).slice(1),
  });
}

function serverOf(url: URL): { host: string; port?: number } {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  return url.port === '' ? { host } : { host, port: Number(url.port) };
}

type SignIn =
  | Pick<Extract<RsyncOptionsInput, { transport: 'ssh-key' }>, 'transport' | 'keyFile' | 'passphrase'>
  | Pick<Extract<RsyncOptionsInput, { transport: 'ssh-password' }>, 'transport' | 'password'>
  | { readonly transport: 'ssh-agent' };

function signIn(): SignIn {
  const { DBACKUP_RSYNC_KEY_FILE: keyFile = '', SSH_AUTH_SOCK: agent = '' } = process.env;
  if (keyFile !== '') {
    const passphrase = environmentSecret('DBACKUP_RSYNC_PASSPHRASE');
    return { transport: 'ssh-key', keyFile, ...(passphrase === undefined ? {} : { passphrase }) };
  }
  const password = environmentSecret('DBACKUP_RSYNC_PASSWORD');
  if (password !== undefined) return { transport: 'ssh-password', password };
  if (agent !== '') return { transport: 'ssh-agent' };
  throw new BackupError(
    'invalid-config',
    'The rsync+ssh URL needs a way to sign in: set DBACKUP_RSYNC_KEY_FILE or DBACKUP_RSYNC_PASSWORD in the environment, or start with SSH_AUTH_SOCK set',
  );
}
