import { BackupError } from '../../errors.ts';

export type FtpLibrary = typeof import('basic-ftp');

/**
 * The package that speaks FTP, loaded when it is needed first.
 * @throws BackupError `unavailable` when it is not installed
 */
export async function loadFtp(): Promise<FtpLibrary> {
  try {
    return await import('basic-ftp');
  } catch (cause) {
    throw new BackupError(
      'unavailable',
      'FTP storage needs the package basic-ftp: install it with npm install basic-ftp',
      { cause },
    );
  }
}
