import type { FormField } from '../forms/form-description.ts';
import { choicesElement, readChoices, tickChoices } from './choices.ts';
import { offerAllTypes } from './config-select.ts';
import { markChosenRows, wireAction } from './form-action.ts';
import { caseOf, closed, currentValue, inputOf, opened } from './form-values.ts';
import { listElement, makeList, markEntry, readList } from './list-field.ts';
import type { EditorNodeDescription } from './node-description.ts';
import type { EditorNode } from './red.ts';
import { explain, problemOf, type Translate } from './validators.ts';

/** Brings a form to life that Node-RED has just filled from the node. */
export function prepareForm(description: EditorNodeDescription, node: EditorNode, text: Translate): void {
  opened(description, node);
  const form = document.querySelector<HTMLElement>(`.dbackup-form[data-type="${description.type}"]`);
  if (form === null) return;
  const refresh = () => showVariant(description, node, form, text);
  for (const field of description.form.fields) prepareField(description, node, field, text, refresh);
  for (const row of form.querySelectorAll<HTMLElement>('[data-action]')) {
    wireAction(description, node, row, text);
  }
  const { discriminator } = description.form;
  const chooser = discriminator === undefined ? null : inputOf(description, discriminator);
  chooser?.addEventListener('change', () => {
    refresh();
    for (const result of form.querySelectorAll('.dbackup-result')) result.replaceChildren();
  });
  openAdvanced(description, node, form);
  refresh();
}

/** Writes what Node-RED does not read by itself into the node. */
export function saveForm(description: EditorNodeDescription, node: EditorNode): void {
  for (const { name, control } of description.form.fields) {
    if (control === 'list') node[name] = readList(description, name) ?? node[name];
    if (control === 'choices') node[name] = readChoices(description, name) ?? node[name];
  }
  node.schemaVersion = description.schemaVersion;
  closed(description, node);
}

export function cancelForm(description: EditorNodeDescription, node: EditorNode): void {
  closed(description, node);
}

function prepareField(
  description: EditorNodeDescription,
  node: EditorNode,
  field: FormField,
  text: Translate,
  refresh: () => void,
): void {
  const value = node[field.name];
  const label = text(`${description.type}.${field.name}.label`);
  if (field.control === 'choices') {
    const group = choicesElement(description, field.name);
    if (group !== null) tickChoices(group, listOf(value ?? field.initial), label, refresh);
    return;
  }
  if (field.control === 'list') {
    const list = listElement(description, field.name);
    if (list === null) return;
    const texts = { add: text('form.addRow'), placeholder: field.placeholder ?? '', label };
    makeList(list, listOf(value ?? field.initial), texts, refresh);
    return;
  }
  const { configTypes = [] } = field;
  if (configTypes.length > 1) offerAllTypes(description, node, field, configTypes);
  // Node-RED itself fills secrets and the lists of config nodes.
  if (field.secret || field.control === 'config') return;
  const input = inputOf(description, field.name);
  // A node of an older version lacks newer fields: show what they will be.
  if (input !== null && node[field.name] === undefined) setValue(input, field.initial);
  if (input instanceof HTMLSelectElement && field.control === 'select') keepUnknown(input, node[field.name]);
  const excuses = description.form.fields.some(({ requiredUnless }) => requiredUnless === field.name);
  if (field.cautions !== undefined || excuses) input?.addEventListener('change', refresh);
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function setValue(input: HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement, value: unknown): void {
  if (input instanceof HTMLInputElement && input.type === 'checkbox') input.checked = value === true;
  else input.value = String(value);
}

/** A select would lose a value that is none of its options, such as a variable. */
function keepUnknown(select: HTMLSelectElement, value: unknown): void {
  if (typeof value !== 'string' || value === '' || select.value === value) return;
  select.append(new Option(value, value, true, true));
}

/** Shows the rows that the chosen variant has, with its own defaults as examples. */
function showVariant(
  description: EditorNodeDescription,
  node: EditorNode,
  form: HTMLElement,
  text: Translate,
): void {
  for (const field of description.form.fields) {
    const row = form.querySelector<HTMLElement>(`[data-field="${field.name}"]`);
    const active = caseOf(description, node, field);
    if (row !== null) row.hidden = active === undefined;
    const input = inputOf(description, field.name);
    if (input instanceof HTMLInputElement && input.type === 'text' && active !== undefined) {
      const example = active.placeholder ?? field.placeholder ?? '';
      input.placeholder = String(active.rule.default ?? '') || example;
    }
    if (field.control === 'select' && active !== undefined) offerOnly(input, active.rule.options);
    if (row !== null) showCaution(description, node, field, row);
    if (field.control === 'list') markList(description, node, field, text);
    if (field.control === 'choices') markChoices(description, node, field, text);
  }
  markChosenRows(description, form);
}

/** Options that only other variants have are not shown; the chosen one is, and marked as wrong. */
function offerOnly(select: Element | null, options: readonly string[] = []): void {
  for (const option of select?.querySelectorAll('option') ?? []) {
    option.hidden = option.dataset.i18n !== undefined && !options.includes(option.value);
  }
}

/** Shows the warning of the value that a field has now. */
function showCaution(
  description: EditorNodeDescription,
  node: EditorNode,
  field: FormField,
  row: HTMLElement,
): void {
  const value = String(currentValue(description, node, field));
  for (const caution of row.querySelectorAll<HTMLElement>('[data-caution]')) {
    caution.hidden = caution.dataset.caution !== value;
  }
}

/** Node-RED marks inputs that are wrong; a list is marked here. */
function markList(
  description: EditorNodeDescription,
  node: EditorNode,
  field: FormField,
  text: Translate,
): void {
  const problem = problemOf(description, node, field, currentValue(description, node, field));
  const reason = problem === undefined ? undefined : explain(description, field, problem, text);
  const entries = listElement(description, field.name)?.querySelectorAll('.dbackup-list-entry') ?? [];
  for (const [index, entry] of [...entries].entries()) {
    const wrong = problem?.entry === undefined || problem.entry === index + 1;
    markEntry(entry, wrong ? reason : undefined);
  }
}

/** The same for boxes to tick: what is wrong is wrong with all of them. */
function markChoices(
  description: EditorNodeDescription,
  node: EditorNode,
  field: FormField,
  text: Translate,
): void {
  const group = choicesElement(description, field.name);
  const problem = problemOf(description, node, field, currentValue(description, node, field));
  if (group !== null) {
    markEntry(group, problem === undefined ? undefined : explain(description, field, problem, text));
  }
}

/** The folded part is open when something in it was changed. */
function openAdvanced(description: EditorNodeDescription, node: EditorNode, form: HTMLElement): void {
  const advanced = form.querySelector('details');
  if (advanced === null) return;
  advanced.open = description.form.fields.some(({ section, name, initial }) => {
    const value = node[name];
    return section === 'advanced' && value !== undefined && String(value) !== String(initial);
  });
}
