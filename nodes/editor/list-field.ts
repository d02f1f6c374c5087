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
      container[0]?.append(input);
      if (item.value === undefined) input.focus();
    },
    removeItem: changed,
  });
  const items: ListItem[] = values.map((value) => ({ value: String(value) }));
  // An empty list shows one empty row: what is to be filled in there.
  for (const item of items.length > 0 ? items : [{ value: '' }]) widget.editableList('addItem', item);
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
