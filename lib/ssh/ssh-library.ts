import { BackupError } from '../errors.ts';

export type SshLibrary = typeof import('ssh2');

/**
 * The package that speaks SSH, loaded when it is needed first.
 * @throws BackupError `unavailable` when it is not installed
 */
export async function loadSsh(): Promise<SshLibrary> {
  try {
    const { default: library } = await import('ssh2');
    return library;
  } catch (cause) {
    throw new BackupError('unavailable', 'SSH needs the package ssh2: install it with npm install ssh2', {
      cause,
    });
  }
}
