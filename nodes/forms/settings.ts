import { z } from 'zod';
import { BackupError } from '../../lib/errors.ts';
import { knowSecret } from '../../lib/logs/redact.ts';
import { plainText } from '../../lib/plan/plain-text.ts';
import { describeForm, type SettingsSchema } from './describe-form.ts';
import type { FieldCase, FormDescription, FormField } from './form-description.ts';
import { problemText } from './problem-text.ts';
import { checkValue, normalise, unlessSet } from './rules.ts';

/** The part of a node's definition that its settings are read with. */
export interface SettingsSpec<Schema extends SettingsSchema> {
  readonly schema: Schema;
  /** Version of the settings that this code writes, from 1. */
  readonly schemaVersion: number;
  /** Brings the raw settings of an older version to the next one, by the version that they have. */
  readonly migrations?: Readonly<Record<number, (raw: RawSettings) => RawSettings>>;
}

/** Settings as a flow file holds them, credentials included. */
export type RawSettings = Readonly<Record<string, unknown>>;

export interface FieldProblem {
  /** Empty for settings that do not go together. */
  readonly field: string;
  /** In plain English, to follow the name of the field. */
  readonly message: string;
}

export type SettingsResult<Schema extends SettingsSchema> =
  | { readonly settings: z.output<Schema> }
  | { readonly problems: readonly FieldProblem[] };

const descriptions = new WeakMap<SettingsSchema, FormDescription>();

/** The form of a schema; derived once. */
export function formOf(schema: SettingsSchema): FormDescription {
  const known = descriptions.get(schema);
  if (known !== undefined) return known;
  const description = describeForm(schema);
  descriptions.set(schema, description);
  return description;
}

/**
 * Reads a node's raw settings: brings them to the current version, turns texts into numbers and truth
 * values, and checks every field. All problems are reported at once. Fields of other variants are ignored.
 * Node-RED has replaced `${NAME}` before; one that is still there is a problem.
 */
export function readSettings<Schema extends SettingsSchema>(
  spec: SettingsSpec<Schema>,
  raw: RawSettings,
): SettingsResult<Schema> {
  const upgraded = upgrade(spec, raw);
  if (upgraded.problems !== undefined) return upgraded;
  const form = formOf(spec.schema);
  const problems: FieldProblem[] = [];
  const input: Record<string, unknown> = {};
  for (const field of form.fields) {
    const active = activeCase(form, field, upgraded.raw);
    if (active === undefined) continue;
    const value = upgraded.raw[field.name];
    const problem = checkValue(active.rule, value, 'refused');
    if (problem !== undefined) problems.push({ field: field.name, message: problemText(problem) });
    input[field.name] = field.secret ? knowSecret(emptyToUndefined(value)) : normalise(active.rule, value);
  }
  return problems.length > 0 ? { problems } : parse(spec.schema, input);
}

/** The case of a field that holds with these settings; undefined when their variant does not have it. */
export function activeCase(
  form: FormDescription,
  { cases, requiredUnless }: FormField,
  raw: RawSettings,
): FieldCase | undefined {
  const chosen = form.discriminator === undefined ? undefined : raw[form.discriminator];
  const active = cases.find(({ when }) => when === undefined || when === chosen);
  if (active === undefined || requiredUnless === undefined) return active;
  return { ...active, rule: unlessSet(active.rule, raw[requiredUnless]) };
}

/** Blanks at the ends of a passphrase belong to it. */
function emptyToUndefined(value: unknown): unknown {
  return value === '' || value === null ? undefined : value;
}

function parse<Schema extends SettingsSchema>(schema: Schema, input: RawSettings): SettingsResult<Schema> {
  const parsed = z.safeParse(schema, input);
  if (parsed.success) return { settings: parsed.data as z.output<Schema> };
  const problems = parsed.error.issues.map((issue) => ({
    field: String(issue.path[0] ?? ''),
    message: issue.message,
  }));
  return { problems };
}

function upgrade<Schema extends SettingsSchema>(
  spec: SettingsSpec<Schema>,
  raw: RawSettings,
): { problems: readonly FieldProblem[] } | { problems?: undefined; raw: RawSettings } {
  const found = raw.schemaVersion === undefined ? spec.schemaVersion : Number(plainText(raw.schemaVersion));
  if (!Number.isInteger(found) || found < 1 || found > spec.schemaVersion) {
    const message = `is ${plainText(raw.schemaVersion)}, this DBackup knows versions up to ${spec.schemaVersion}: update @dbackup/node-red on this host`;
    return { problems: [{ field: 'schemaVersion', message }] };
  }
  let current = raw;
  for (let version = found; version < spec.schemaVersion; version += 1) {
    current = spec.migrations?.[version]?.(current) ?? current;
  }
  return { raw: current };
}

/** One error that names every problem: what a node shows that cannot start. */
export function settingsError(label: string, problems: readonly FieldProblem[]): BackupError {
  const list = problems.map(({ field, message }) => `${field} ${message}`.trimStart()).join('; ');
  return new BackupError('invalid-config', `${label} is not set up: ${list}`);
}
