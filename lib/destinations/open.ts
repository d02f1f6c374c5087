import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BackupError } from '../errors.ts';
import type { DestinationDriver } from './driver.ts';
import { openFtp } from './ftp/url.ts';
import { createLocalDestination } from './local/local.ts';
import { openRsyncDaemon, openRsyncSsh } from './rsync/url.ts';
import { openS3 } from './s3/url.ts';
import { openSftp } from './sftp/url.ts';
import { openSmb } from './smb/url.ts';
import { openWebdav } from './webdav/url.ts';

/** Opens the storage that a URL of one scheme names. */
export type StorageOpener = (url: URL) => DestinationDriver;

/** One line for each storage that can be named by a URL. */
const OPENERS: Readonly<Record<string, StorageOpener>> = {
  file: openFolder,
  ftp: openFtp,
  ftps: openFtp,
  rsync: openRsyncDaemon,
  'rsync+ssh': openRsyncSsh,
  sftp: openSftp,
  smb: openSmb,
  webdav: openWebdav,
  webdavs: openWebdav,
  s3: openS3,
};

/** At least two letters, so that the drive of `C:\backups` is none. */
const SCHEME = /^([a-z][a-z0-9+.-]+):\/\//i;

/**
 * Opens a storage that was given directly, without a flow: `file:///backups`, or a plain path, which is
 * taken relative to the working directory.
 * @throws BackupError `invalid-config` for a URL or scheme that is not known
 */
export function openStorage(location: string): DestinationDriver {
  const scheme = SCHEME.exec(location)?.[1]?.toLowerCase();
  if (scheme === undefined) {
    if (location.trim() === '') throw new BackupError('invalid-config', `No storage is given: ${known()}`);
    return createLocalDestination({ root: resolve(location) });
  }
  const open = Object.hasOwn(OPENERS, scheme) ? OPENERS[scheme] : undefined;
  if (open === undefined) {
    throw new BackupError('invalid-config', `The storage scheme "${scheme}" is not known: ${known()}`);
  }
  if (!URL.canParse(location)) {
    throw new BackupError('invalid-config', `The storage is not a valid ${scheme} URL: ${known()}`);
  }
  return open(new URL(location));
}

function known(): string {
  const schemes = Object.keys(OPENERS).map((scheme) => `${scheme}://`);
  return `use a folder such as /backups, or a URL that begins with ${schemes.join(', ')}`;
}

function openFolder(url: URL): DestinationDriver {
  if (url.hostname !== '' && url.hostname !== 'localhost') {
    throw new BackupError(
      'invalid-config',
      `${url.href} names the host "${url.hostname}": a folder of this host is written with three slashes, file:///backups`,
    );
  }
  if (url.search !== '' || url.hash !== '') {
    throw new BackupError('invalid-config', `${url.href} holds ? or #: write them as %3F and %23 in a path`);
  }
  try {
    return createLocalDestination({ root: resolve(fileURLToPath(url)) });
  } catch (error) {
    if (error instanceof BackupError) throw error;
    throw new BackupError('invalid-config', `${url.href} is not the path of a folder: use file:///backups`);
  }
}
