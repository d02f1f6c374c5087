import { z } from 'zod';

export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  /** What is wrong, in one line. */
  | { readonly ok: false; readonly problem: string };

/** Checks a value against a schema and never throws, whatever the value: also not when it is nested too deeply. */
export function parseValue<Schema extends z.ZodType>(
  schema: Schema,
  value: unknown,
): Parsed<z.output<Schema>> {
  try {
    const parsed = schema.safeParse(value);
    if (parsed.success) return { ok: true, value: parsed.data };
    return { ok: false, problem: z.prettifyError(parsed.error).replaceAll('\n', ' ') };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { ok: false, problem: 'it is nested too deeply' };
  }
}
