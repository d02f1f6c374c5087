import { join, resolve } from 'node:path';
import { z } from 'zod';
import { BackupError } from '../lib/errors.ts';

/** `dbackup` in settings.js: docs/runner.md lists it. */
export const packageSettings = z.strictObject({
  /** Folder of the history and the key vault. */
  dataDir: z.string().min(1).optional(),
  /** How long a message of a run may stay inside one node before the run begins without it. */
  planningSeconds: z.number().positive().optional(),
});

export type PackageSettings = z.infer<typeof packageSettings>;

/**
 * Reads `dbackup` of settings.js.
 * @throws BackupError `invalid-config` that names the wrong setting
 */
export function readPackageSettings(value: unknown): PackageSettings {
  const parsed = packageSettings.safeParse(value ?? {});
  if (parsed.success) return parsed.data;
  const problem = z.prettifyError(parsed.error).replaceAll('\n', ' ');
  throw new BackupError('invalid-config', `"dbackup" in settings.js is not valid: ${problem}`);
}

/** The data directory: `DBACKUP_DATA`, else as settings.js says, else beside Node-RED's own files. */
export function dataDirectory(settings: PackageSettings, userDir: string | undefined): string {
  const fromEnvironment = process.env.DBACKUP_DATA;
  if (fromEnvironment !== undefined && fromEnvironment !== '') return resolve(fromEnvironment);
  return resolve(settings.dataDir ?? join(userDir ?? '.', 'dbackup'));
}
