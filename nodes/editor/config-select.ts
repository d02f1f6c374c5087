import type { FormField } from '../forms/form-description.ts';
import { inputOf, NO_CONFIG, prefixOf } from './form-values.ts';
import type { EditorNodeDescription } from './node-description.ts';
import { type EditorNode, jQuery, red } from './red.ts';

/**
 * Lets a field refer to config nodes of several types. Node-RED has made a select and two buttons for the
 * first of them: the select gets the nodes of the others too, whenever Node-RED fills it, and the buttons
 * open the form of the right type.
 */
export function offerAllTypes(
  description: EditorNodeDescription,
  node: EditorNode,
  field: FormField,
  types: readonly string[],
): void {
  const select = inputOf(description, field.name);
  if (!(select instanceof HTMLSelectElement)) return;
  const chosen = node[field.name];
  fill(select, types, typeof chosen === 'string' && chosen !== '' ? chosen : NO_CONFIG);
  const observer = new MutationObserver(() => {
    fill(select, types, select.value);
    observer.takeRecords();
  });
  observer.observe(select, { childList: true });

  const prefix = prefixOf(description);
  const edit = (type: string, id: string) => red.editor.editConfig(field.name, type, id, prefix, node);
  const button = (name: string) => document.querySelector(`#${prefix}-btn-${field.name}-${name}`);
  onClick(button('edit'), () => {
    const type = red.nodes.node(select.value)?.type;
    if (type !== undefined) edit(type, select.value);
  });
  onClick(button('add'), (target) => {
    const options = types.map((type) => ({ label: labelOf(type), onselect: () => edit(type, NO_CONFIG) }));
    red.popover.menu({ options }).show({ target: jQuery(target), align: 'left', dispose: true });
  });
}

/** In place of what Node-RED does, which knows one type only. */
function onClick(button: Element | null, act: (button: Element) => void): void {
  if (button === null) return;
  jQuery(button).off('click');
  jQuery(button).on('click', (event) => {
    event.preventDefault();
    if (!button.classList.contains('disabled')) act(button);
  });
}

/** The nodes of each type in a group of their own, and none, for which Node-RED has the word. */
function fill(select: HTMLSelectElement, types: readonly string[], value: string): void {
  const groups = types.map((type) => {
    const group = document.createElement('optgroup');
    group.label = labelOf(type);
    group.append(...[...nodesOf(type), ...variablesOf(type)]);
    return group;
  });
  select.replaceChildren(...groups.filter(({ children }) => children.length > 0));
  select.append(new Option(red._('editor.inputs.none'), NO_CONFIG));
  select.value = value;
}

function nodesOf(type: string): HTMLOptionElement[] {
  const found: EditorNode[] = [];
  red.nodes.eachConfig((config) => {
    const inScope = !config.z || config.z === red.workspaces.active();
    if (config.type === type && inScope) found.push(config);
  });
  return found
    .map((config) => {
      const label = red.utils.getNodeLabel(config, config.id);
      const state = config.d === true ? ` [${red._('workspace.disabled')}]` : '';
      return new Option(label + state, config.id);
    })
    .sort((a, b) => a.text.localeCompare(b.text, undefined, { sensitivity: 'base' }));
}

/** Inside a subflow, its instances may choose the config node. */
function variablesOf(type: string): HTMLOptionElement[] {
  const variables = red.nodes.subflow(red.workspaces.active())?.env ?? [];
  return variables
    .filter((variable) => variable.ui?.type === 'conf-types' && variable.type === type)
    .map(({ name }) => new Option(`[env] ${name}`, `\${${name}}`));
}

function labelOf(type: string): string {
  return red.nodes.getType(type)?._?.(`${type}.label`) ?? type;
}
