import type { DestinationDriver } from '../driver.ts';
import { decodedUser, environmentSecret, refuseSecrets } from '../url-settings.ts';
import { createWebdavDestination } from './webdav.ts';

/**
 * `webdavs://user@host/folder` for https, `webdav://…` for http. With a user: basic sign-in, the password from
 * DBACKUP_WEBDAV_PASSWORD; without: the token of DBACKUP_WEBDAV_TOKEN, if there is one. The file of the authority
 * comes from DBACKUP_WEBDAV_CA_FILE.
 * @throws BackupError `invalid-config`
 */
export function openWebdav(url: URL): DestinationDriver {
  refuseSecrets(url, 'DBACKUP_WEBDAV_PASSWORD');
  const scheme = url.protocol === 'webdavs:' ? 'https' : 'http';
  const password = environmentSecret('DBACKUP_WEBDAV_PASSWORD');
  const token = environmentSecret('DBACKUP_WEBDAV_TOKEN');
  const user = decodedUser(url);
  return createWebdavDestination({
    url: `${scheme}://${url.host}${url.pathname}`,
    auth: user !== '' ? 'basic' : token !== undefined ? 'bearer' : 'none',
    user,
    ...(password === undefined ? {} : { password }),
    ...(token === undefined ? {} : { token }),
    caFile: process.env.DBACKUP_WEBDAV_CA_FILE ?? '',
  });
}
