import { BackupError } from '../errors.ts';

export type EmailLibrary = typeof import('nodemailer');

/**
 * The package that sends mail, loaded when the first is sent.
 * @throws BackupError `unavailable` when it is not installed
 */
export async function emailLibrary(): Promise<EmailLibrary> {
  try {
    return await import('nodemailer');
  } catch (cause) {
    throw new BackupError(
      'unavailable',
      'Mail needs the package nodemailer: install it with npm install nodemailer',
      {
        cause,
      },
    );
  }
}
