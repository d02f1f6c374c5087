import { BackupError } from '../errors.ts';

/** Data that ended early. `where` says what and at which byte. */
export function cutOff(where: string): BackupError {
  return new BackupError('incomplete', `The compressed data is cut off: ${where}`);
}

/** Data that is not what the format demands. */
export function damaged(where: string, cause?: unknown): BackupError {
  return new BackupError('corrupt', `The compressed data is damaged: ${where}`, { cause });
}

/** The error of a zlib engine while it decodes `where`. */
export function decodeError(where: string, error: NodeJS.ErrnoException): BackupError {
  switch (error.code) {
    case 'Z_BUF_ERROR':
      return cutOff(`${where} does not end`);
    case 'Z_MEM_ERROR':
    case 'ZSTD_error_memory_allocation':
      return new BackupError('internal', `There is no memory to decompress ${where}`, { cause: error });
    default:
      return damaged(`${where}: ${error.message}`, error);
  }
}
