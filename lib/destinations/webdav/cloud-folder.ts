import { BackupError } from '../../errors.ts';
import { splitFolderPath } from '../path.ts';

/** Where Nextcloud and ownCloud keep the files of a user, by which their chunked upload is recognized. */
const FILES = '/remote.php/dav/files/';

/**
 * URL of a folder of a user's files on a Nextcloud or ownCloud.
 * @param address as it stands in the browser, `https://cloud.example.com`; the address that the cloud's settings show
 * for WebDAV is taken as well
 * @param user the id of the user, as it stands in that address
 * @param folder below the user's files; empty for all of them
 * @throws BackupError `invalid-config` for an address that is no URL or has a part that does not belong there, and
 * for a folder that could lead elsewhere
 */
export function cloudFolderUrl(address: string, user: string, folder: string): string {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new BackupError('invalid-config', 'The address of the cloud must begin with https:// or http://');
  }
  if (url.username !== '' || url.password !== '' || url.search !== '' || url.hash !== '') {
    throw new BackupError('invalid-config', 'The address of the cloud holds a user, a password, ? or #');
  }
  const site = url.pathname.replace(/\/(index\.php|remote\.php)(\/.*)?$/, '').replace(/\/+$/, '');
  const names = [user, ...splitFolderPath(folder)];
  return `${url.origin}${site}${FILES}${names.map(encodeURIComponent).join('/')}`;
}
