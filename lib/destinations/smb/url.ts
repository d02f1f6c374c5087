import { BackupError } from '../../errors.ts';
import type { DestinationDriver } from '../driver.ts';
import { decodedPath, decodedUser, environmentSecret, refuseSecrets } from '../url-settings.ts';
import { createSmbDestination } from './smb.ts';

/**
 * `smb://user@host/share/folder`; the domain of the user before it, as in `smb://DOMAIN;user@host/share`. Without a
 * user: as a guest. The password comes from DBACKUP_SMB_PASSWORD.
 * @throws BackupError `invalid-config`
 */
export function openSmb(url: URL): DestinationDriver {
  refuseSecrets(url, 'DBACKUP_SMB_PASSWORD');
  const [share = '', ...folders] = decodedPath(url).slice(1).split('/');
  if (share === '') {
    throw new BackupError('invalid-config', 'The smb URL names no share: write smb://user@host/share/folder');
  }
  const account = decodedUser(url);
  const semicolon = account.indexOf(';');
  const user = account.slice(semicolon + 1);
  const password = environmentSecret('DBACKUP_SMB_PASSWORD');
  return createSmbDestination({
    host: url.hostname.replace(/^\[|\]$/g, ''),
    ...(url.port === '' ? {} : { port: Number(url.port) }),
    share,
    root: folders.join('/'),
    user,
    ...(semicolon > 0 ? { domain: account.slice(0, semicolon) } : {}),
    ...(user === '' || password === undefined ? {} : { password }),
  });
}
