import type { DestinationDriver } from '../driver.ts';
import { decodedPath, decodedUser, environmentSecret, refuseSecrets } from '../url-settings.ts';
import { createFtpDestination } from './ftp.ts';

/**
 * `ftps://user@host/folder`: TLS, implicit on port 990, else explicit. `ftp://…`: not encrypted. The folder lies
 * below the login folder; `//folder` is one from the server's root, as RFC 1738 has it with `%2F`.
 * The password comes from DBACKUP_FTP_PASSWORD, the file of the authority from DBACKUP_FTP_CA_FILE.
 * @throws BackupError `invalid-config`
 */
export function openFtp(url: URL): DestinationDriver {
  refuseSecrets(url, 'DBACKUP_FTP_PASSWORD');
  const port = url.port === '' ? undefined : Number(url.port);
  const security = url.protocol === 'ftp:' ? 'plain' : port === 990 ? 'implicit-tls' : 'explicit-tls';
  const password = environmentSecret('DBACKUP_FTP_PASSWORD');
  return createFtpDestination({
    host: url.hostname.replace(/^\[|\]$/g, ''),
    ...(port === undefined ? {} : { port }),
    security,
    ...(url.username === '' ? {} : { user: decodedUser(url) }),
    ...(password === undefined ? {} : { password }),
    ...(security === 'plain' ? {} : { caFile: process.env.DBACKUP_FTP_CA_FILE ?? '' }),
    root: decodedPath(url).slice(1),
  });
}
