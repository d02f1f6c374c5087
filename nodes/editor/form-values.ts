import type { FieldCase, FormField } from '../forms/form-description.ts';
import { unlessSet } from '../forms/rules.ts';
import { readChoices } from './choices.ts';
import { readList } from './list-field.ts';
import type { EditorNodeDescription } from './node-description.ts';
import type { EditorNode } from './red.ts';

/**
 * The nodes whose forms are open, for each kind of form, the uppermost last: a config node's form may lie
 * above that of another one. Those below are not part of the document meanwhile.
 */
const open = new Map<string, readonly string[]>();

export function opened(description: EditorNodeDescription, node: EditorNode): void {
  open.set(prefixOf(description), [...openForms(description), node.id]);
}

export function closed(description: EditorNodeDescription, node: EditorNode): void {
  const others = openForms(description).filter((id) => id !== node.id);
  open.set(prefixOf(description), others);
}

export function isOpen(description: EditorNodeDescription, node: EditorNode): boolean {
  return openForms(description).at(-1) === node.id;
}

function openForms(description: EditorNodeDescription): readonly string[] {
  return open.get(prefixOf(description)) ?? [];
}

/** Node-RED's prefix of the ids of a form's inputs. */
export function prefixOf({ isConfig }: EditorNodeDescription): string {
  return isConfig ? 'node-config-input' : 'node-input';
}

/** The input of a field; null for lists, and when no form is open. */
export function inputOf(
  description: EditorNodeDescription,
  field: string,
): HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement | null {
  return document.querySelector(`#${prefixOf(description)}-${field}`);
}

/** The value of a field now: what stands in the open form, else what the node holds. */
export function currentValue(
  description: EditorNodeDescription,
  node: EditorNode,
  field: FormField,
): unknown {
  if (!isOpen(description, node)) return node[field.name];
  if (field.control === 'list') return readList(description, field.name) ?? node[field.name];
  if (field.control === 'choices') return readChoices(description, field.name) ?? node[field.name];
  const input = inputOf(description, field.name);
  if (input === null) return node[field.name];
  if (field.control === 'config') return input.value === NO_CONFIG ? '' : input.value;
  return input instanceof HTMLInputElement && input.type === 'checkbox' ? input.checked : input.value;
}

/** The case of a field that holds with the chosen variant; undefined when the variant does not have it. */
export function caseOf(
  description: EditorNodeDescription,
  node: EditorNode,
  field: FormField,
): FieldCase | undefined {
  const { discriminator, fields } = description.form;
  const chooser = fields.find(({ name }) => name === discriminator);
  const chosen = chooser === undefined ? undefined : currentValue(description, node, chooser);
  const active = field.cases.find(({ when }) => when === undefined || when === chosen);
  const excuse = fields.find(({ name }) => name === field.requiredUnless);
  if (active === undefined || excuse === undefined) return active;
  return { ...active, rule: unlessSet(active.rule, currentValue(description, node, excuse)) };
}

/** What a select of config nodes holds when none is chosen. */
export const NO_CONFIG = '_ADD_';

/** What the editor shows in place of a secret that Node-RED keeps. */
export const KEPT_SECRET = '__PWRD__';

/** Every setting of a node whose form is not open, with the secrets that were typed since the last deploy. */
export function storedValues(
  { form, schemaVersion }: EditorNodeDescription,
  node: EditorNode,
): Record<string, unknown> {
  const entries = form.fields.map(({ name, secret }) => [
    name,
    secret ? storedSecret(node, name) : node[name],
  ]);
  return { ...Object.fromEntries(entries), schemaVersion };
}

/** Before a form was open, only the server knows whether there is a secret. */
function storedSecret({ credentials }: EditorNode, name: string): unknown {
  if (credentials?.[name]) return credentials[name];
  return credentials?.[`has_${name}`] === false ? '' : KEPT_SECRET;
}

/** Every setting of the open form, saved or not, as the check on the server takes them. */
export function formValues(description: EditorNodeDescription, node: EditorNode): Record<string, unknown> {
  const entries = description.form.fields.map((field) => [
    field.name,
    currentValue(description, node, field),
  ]);
  return { ...Object.fromEntries(entries), schemaVersion: description.schemaVersion };
}
