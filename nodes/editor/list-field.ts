import type { EditorNodeDescription } from './node-description.ts';
import { jQuery, type ListItem, red, type Tooltip } from './red.ts';

/** Turns the row of a list field into a list with rows to add, remove and sort. */
export function makeList(
  list: Element,
  values: readonly unknown[],
  texts: { readonly add: string; readonly placeholder: string; readonly label: string },
  changed: () => void,
): void {
  const widget = jQuery(list);
  widget.editableList({
    addButton: texts.add,
    removable: true,
    sortable: true,
    height: 'auto',
    addItem(container, _index, item) {
      const input = document.createElement('input');
      input.type = 'text';
      input.className = 'dbackup-list-entry';
      input.value = item.value ?? '';
      input.placeholder = texts.placeholder;
      input.setAttribute('aria-label', texts.label);
      input.addEventListener('input', changed);
      items.set(input, item as ListItem);
      container[0]?.append(input);
      if (item.value === undefined) input.focus();
    },
    removeItem: changed,
  });
  const first: ListItem[] = values.map((value) => ({ value: String(value) }));
  // An empty list shows one empty row: what is to be filled in there.
  for (const item of first.length > 0 ? first : [{ value: '' }]) widget.editableList('addItem', item);
}

/** The list of a field, in the open form. */
export function listElement(description: EditorNodeDescription, field: string): Element | null {
  return document.querySelector(`.dbackup-form[data-type="${description.type}"] [data-list="${field}"]`);
}

/** The filled-in rows, or undefined when no form is open. */
export function readList(description: EditorNodeDescription, field: string): string[] | undefined {
  const list = listElement(description, field);
  if (list === null) return undefined;
  return [...list.querySelectorAll<HTMLInputElement>('.dbackup-list-entry')]
    .map((input) => input.value.trim())
    .filter((value) => value !== '');
}

/** An entry that means every name. */
const EVERYTHING = '*';

/**
 * Adds an entry to the open list of a field, or removes it. The first one that is added takes the place of
 * the entry that means everything, which it would be lost in.
 */
export function toggleEntry(description: EditorNodeDescription, field: string, value: string): void {
  const list = listElement(description, field);
  if (list === null) return;
  const widget = jQuery(list);
  const present = readList(description, field) ?? [];
  const obsolete = present.includes(value) ? value : present.join() === EVERYTHING ? EVERYTHING : '';
  for (const item of itemsOf(list, obsolete)) widget.editableList('removeItem', item);
  if (present.includes(value)) return;
  for (const item of itemsOf(list, '')) widget.editableList('removeItem', item);
  widget.editableList('addItem', { value });
  list.querySelector('li:last-child .dbackup-list-entry')?.dispatchEvent(new Event('input'));
}

/** The rows that hold this value now, as the widget knows them. */
function itemsOf(list: Element, value: string): ListItem[] {
  const entries = [...list.querySelectorAll<HTMLInputElement>('.dbackup-list-entry')];
  return entries.filter((entry) => entry.value.trim() === value).flatMap((entry) => items.get(entry) ?? []);
}

const items = new WeakMap<Element, ListItem>();
const reasons = new WeakMap<Element, Tooltip>();

/** Marks a row as wrong and tells why, as Node-RED does it with the inputs that it checks; or neither. */
export function markEntry(entry: Element, reason: string | undefined): void {
  entry.classList.toggle('input-error', reason !== undefined);
  const shown = reasons.get(entry);
  if (reason === undefined) {
    shown?.delete();
    reasons.delete(entry);
  } else if (shown === undefined) {
    reasons.set(entry, red.popover.tooltip(jQuery(entry), reason));
  } else {
    shown.setContent(reason);
  }
}
