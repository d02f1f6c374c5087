import type { EditorNodeDescription } from './node-description.ts';

/** Ticks the boxes of a field for the values that the node holds. */
export function tickChoices(
  group: Element,
  values: readonly unknown[],
  label: string,
  changed: () => void,
): void {
  group.setAttribute('aria-label', label);
  const known = new Set(values.map(String));
  for (const box of boxesOf(group)) {
    box.checked = known.delete(box.value);
    box.addEventListener('change', changed);
  }
  // A value that is none of the options, such as a variable, is kept.
  kept.set(group, [...known]);
}

/** The group of boxes of a field, in the open form. */
export function choicesElement({ type }: EditorNodeDescription, field: string): Element | null {
  return document.querySelector(`.dbackup-form[data-type="${type}"] [data-choices="${field}"]`);
}

/** The values whose boxes are ticked, or undefined when no form is open. */
export function readChoices(description: EditorNodeDescription, field: string): string[] | undefined {
  const group = choicesElement(description, field);
  if (group === null) return undefined;
  const ticked = boxesOf(group).filter(({ checked }) => checked);
  return [...ticked.map(({ value }) => value), ...(kept.get(group) ?? [])];
}

function boxesOf(group: Element): HTMLInputElement[] {
  return [...group.querySelectorAll<HTMLInputElement>('input[type="checkbox"]')];
}

const kept = new WeakMap<Element, readonly string[]>();
