import type { FormField } from '../forms/form-description.ts';
import { checkValue, type Problem } from '../forms/rules.ts';
import { caseOf, inputOf, isOpen, KEPT_SECRET, NO_CONFIG } from './form-values.ts';
import type { EditorNodeDescription } from './node-description.ts';
import { type EditorNode, type PropertyDefinition, red } from './red.ts';

export type Translate = (key: string, values?: Readonly<Record<string, string | number>>) => string;

/** The property of a node for a field: its first value, and the same check that the runtime makes. */
export function propertyOf(
  description: EditorNodeDescription,
  field: FormField,
  text: Translate,
): PropertyDefinition {
  const reason = (node: EditorNode, value: unknown) =>
    problemOf(description, node, field, value) ?? secretProblem(description, node, field);
  return {
    value: field.initial,
    // Node-RED knows one type. It finds what a node refers to by the id, whatever its type is.
    ...(field.configTypes === undefined ? {} : { type: field.configTypes[0] }),
    // Node-RED hands reasons on only from validators with two parameters.
    validate(value, _options) {
      const problem = reason(this, value);
      return problem === undefined ? true : explain(description, field, problem, text);
    },
  };
}

/** The same for a secret, which Node-RED checks while its form is open. */
export function credentialOf(
  description: EditorNodeDescription,
  field: FormField,
  text: Translate,
): PropertyDefinition {
  return {
    type: 'password',
    validate(value, _options) {
      const rule = caseOf(description, this, field)?.rule;
      if (rule === undefined || value === KEPT_SECRET) return true;
      const problem = checkValue(rule, value, 'allowed');
      return problem === undefined ? true : explain(description, field, problem, text);
    },
  };
}

export function problemOf(
  description: EditorNodeDescription,
  node: EditorNode,
  field: FormField,
  value: unknown,
): Problem | undefined {
  const rule = caseOf(description, node, field)?.rule;
  if (rule === undefined) return undefined;
  if (field.configTypes === undefined) return checkValue(rule, value, 'allowed');
  return checkReference(field.configTypes, rule.required, value);
}

function checkReference(types: readonly string[], required: boolean, value: unknown): Problem | undefined {
  if (typeof value !== 'string' || value === '' || value === NO_CONFIG) {
    return required ? { code: 'required' } : undefined;
  }
  if (value.startsWith('${')) return undefined;
  const node = red.nodes.node(value);
  const fits = node?.valid !== false && types.includes(node?.type ?? '');
  return fits ? undefined : { code: 'reference' };
}

/**
 * A secret that the chosen variant needs is reported at the field that chooses it, since Node-RED does not
 * check credentials of closed forms. Before a form was open, only the server knows whether there is one.
 */
function secretProblem(
  description: EditorNodeDescription,
  node: EditorNode,
  field: FormField,
): Problem | undefined {
  if (field.name !== description.form.discriminator) return undefined;
  const missing = description.form.fields.some((secret) => {
    const needed = secret.secret && caseOf(description, node, secret)?.rule.required === true;
    return needed && !mayHave(description, node, secret);
  });
  return missing ? { code: 'secret' } : undefined;
}

function mayHave(description: EditorNodeDescription, node: EditorNode, { name }: FormField): boolean {
  if (isOpen(description, node)) return inputOf(description, name)?.value !== '';
  const { credentials } = node;
  return credentials === undefined || Boolean(credentials[name]) || credentials[`has_${name}`] === true;
}

/** A problem in the person's language, with the field's name before it. */
export function explain(
  { type }: EditorNodeDescription,
  field: FormField,
  { code, limit, entry }: Problem,
  text: Translate,
): string {
  const label = text(`${type}.${field.name}.label`);
  const what = text(`problem.${code}`, limit === undefined ? {} : { limit });
  return entry === undefined ? `${label}: ${what}` : `${label} (${entry}): ${what}`;
}
