import { z } from 'zod';
import { BackupError } from '../../lib/errors.ts';
import type { Control, FieldCase, FormDescription, FormField } from './form-description.ts';
import type { FormMeta } from './form-meta.ts';
import type { FieldValue, Rule } from './rules.ts';

/** A node's settings: plain fields, or variants of them that one field tells apart. */
export type SettingsSchema = z.ZodObject | z.ZodDiscriminatedUnion<readonly z.ZodObject[]>;

/** The part of a JSON schema that our settings use, with our own meta. */
interface JsonProperty extends FormMeta {
  readonly type?: string;
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly default?: FieldValue;
  readonly items?: JsonProperty;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minimum?: number;
  readonly exclusiveMinimum?: number;
  readonly maximum?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
}

interface JsonObject {
  readonly properties?: Readonly<Record<string, JsonProperty>>;
  readonly required?: readonly string[];
}

interface Collected {
  readonly property: JsonProperty;
  readonly cases: FieldCase[];
}

/**
 * Derives the form from the schema: one declaration, many readers.
 * @throws BackupError `internal` when a schema uses what forms cannot show
 */
export function describeForm(schema: SettingsSchema): FormDescription {
  const json = z.toJSONSchema(schema, { io: 'input' }) as JsonObject & { oneOf?: readonly JsonObject[] };
  if (json.oneOf === undefined) return { fields: toFields(collect([{ object: json }])) };
  const discriminator = (schema as z.ZodDiscriminatedUnion).def.discriminator;
  const variants = json.oneOf.map((object) => ({ object, when: object.properties?.[discriminator]?.const }));
  return { discriminator, fields: toFields(collect(variants), discriminator) };
}

/** All fields of all variants. A field that only later variants have stands where they have it. */
function collect(variants: readonly { object: JsonObject; when?: string | undefined }[]) {
  const fields = new Map<string, Collected>();
  const order: string[] = [];
  for (const { object, when } of variants) {
    let place = 0;
    for (const [name, property] of Object.entries(object.properties ?? {})) {
      const rule = toRule(name, property, object.required?.includes(name) ?? false);
      const field = fields.get(name) ?? { property, cases: [] };
      field.cases.push({
        ...(when === undefined ? {} : { when }),
        rule,
        ...exampleOf(property, field.property),
      });
      if (!fields.has(name)) order.splice(place, 0, name);
      fields.set(name, field);
      place = order.indexOf(name) + 1;
    }
  }
  return new Map(order.map((name) => [name, fields.get(name) as Collected]));
}

function exampleOf({ placeholder }: JsonProperty, first: JsonProperty): Pick<FieldCase, 'placeholder'> {
  return placeholder === undefined || placeholder === first.placeholder ? {} : { placeholder };
}

function toFields(collected: ReadonlyMap<string, Collected>, discriminator?: string): FormField[] {
  return [...collected].map(([name, { property, cases }]) =>
    name === discriminator ? toDiscriminator(name, property, cases) : toField(name, property, cases),
  );
}

/** The discriminating field holds one constant in each variant: in the form it is one choice of them all. */
function toDiscriminator(name: string, property: JsonProperty, cases: readonly FieldCase[]): FormField {
  const options = cases.flatMap(({ rule }) => rule.options ?? []);
  const rule: Rule = { kind: 'string', required: true, options };
  return {
    ...shared(name, property),
    control: 'select',
    options,
    cases: [{ rule }],
    initial: options[0] ?? '',
  };
}

function toField(name: string, property: JsonProperty, cases: readonly FieldCase[]): FormField {
  const rules = cases.map(({ rule }) => rule);
  const options = [...new Set(rules.flatMap((rule) => rule.options ?? choicesOf(property, rule)))];
  return {
    ...shared(name, property),
    control: controlOf(property),
    options,
    cases,
    initial: initialOf(rules),
  };
}

/** A list that is typed has no options to offer. */
function choicesOf({ control }: JsonProperty, { items }: Rule): readonly string[] {
  return control === 'choices' ? (items?.options ?? []) : [];
}

function shared(name: string, property: JsonProperty) {
  const { icon, unit, configTypes, section, placeholder, cautions, requiredUnless } = property;
  return {
    name,
    secret: property.secret ?? false,
    ...(icon === undefined ? {} : { icon }),
    ...(unit === undefined ? {} : { unit }),
    ...(configTypes === undefined ? {} : { configTypes }),
    ...(section === undefined ? {} : { section }),
    ...(placeholder === undefined ? {} : { placeholder }),
    ...(cautions === undefined ? {} : { cautions }),
    ...(requiredUnless === undefined ? {} : { requiredUnless }),
  };
}

function controlOf(property: JsonProperty): Control {
  if (property.configTypes !== undefined) return 'config';
  if (property.control === 'lines' || property.control === 'choices') return property.control;
  if (property.secret === true) return 'password';
  if (property.enum !== undefined || property.const !== undefined) return 'select';
  if (property.type === 'boolean') return 'checkbox';
  if (property.type === 'number' || property.type === 'integer') return 'number';
  if (property.type === 'array') return 'list';
  return property.control === 'path' ? 'path' : 'text';
}

/** A default that differs between the variants is left to them: the stored value stays empty. */
function initialOf(rules: readonly Rule[]): FieldValue {
  const [first, ...others] = rules.map((rule) => rule.default);
  if (first !== undefined && others.every((other) => isSame(other, first))) return first;
  if (rules[0]?.kind === 'list') return [];
  return rules[0]?.kind === 'boolean' ? false : '';
}

function isSame(one: FieldValue | undefined, other: FieldValue): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

function toRule(name: string, property: JsonProperty, required: boolean): Rule {
  const { minLength, maxLength, pattern, minimum, exclusiveMinimum, maximum, minItems, maxItems } = property;
  const options = property.const === undefined ? property.enum : [property.const];
  const limits = { minLength, maxLength, pattern, minimum, exclusiveMinimum, minItems, maxItems, options };
  const items = property.items === undefined ? undefined : toRule(name, property.items, true);
  const optional = { ...limits, maximum: sensible(maximum), default: property.default, items };
  const present = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
  return { kind: kindOf(name, property), required, ...present };
}

/** zod states JavaScript's largest safe integer as the maximum of every integer: nothing to tell a person. */
function sensible(maximum: number | undefined): number | undefined {
  return maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum;
}

function kindOf(name: string, property: JsonProperty): Rule['kind'] {
  switch (property.type) {
    case 'string':
    case 'number':
    case 'integer':
    case 'boolean':
      return property.type;
    case 'array':
      return 'list';
    default:
      throw new BackupError('internal', `The field ${name} has a type that forms cannot show`);
  }
}
