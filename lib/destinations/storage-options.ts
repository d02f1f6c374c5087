import type { z } from 'zod';
import { BackupError } from '../errors.ts';
import { parseValue } from '../parse.ts';

/**
 * Checks the settings of a storage, and fills in the defaults.
 * @param kind as people call it: `SFTP`
 * @throws BackupError `invalid-config`
 */
export function parseStorageOptions<Schema extends z.ZodType>(
  schema: Schema,
  input: z.input<Schema>,
  kind: string,
): z.output<Schema> {
  const parsed = parseValue(schema, input);
  if (parsed.ok) return parsed.value;
  throw new BackupError('invalid-config', `The ${kind} storage is not valid: ${parsed.problem}`);
}
