import type { FormField } from '../forms/form-description.ts';
import { optionKey } from '../forms/option-key.ts';
import { cancelForm, prepareForm, saveForm } from './form.ts';
import { pressButton } from './form-action.ts';
import { caseOf } from './form-values.ts';
import type { EditorNodeDescription } from './node-description.ts';
import { type EditorNode, type NodeTypeDefinition, type PropertyDefinition, red } from './red.ts';
import { register } from './registry.ts';
import { credentialOf, propertyOf, type Translate } from './validators.ts';

/** Makes what `RED.nodes.registerType` takes from the description of a node type. */
export function definition(description: EditorNodeDescription): NodeTypeDefinition {
  register(description);
  const { type, isConfig, color, icon, inputs, outputs, form } = description;
  // Node-RED adds `_` to the definition when it is registered.
  const text: Translate = (key, values) => red.nodes.getType(type)?._?.(key, values) ?? key;
  const plain = form.fields.filter((field) => !field.secret);
  const secret = form.fields.filter((field) => field.secret);
  const behaviour = {
    defaults: {
      ...properties(plain, (field) => propertyOf(description, field, text)),
      schemaVersion: { value: description.schemaVersion },
    },
    credentials: properties(secret, (field) => credentialOf(description, field, text)),
    label(this: EditorNode) {
      return labelOf(description, this, text);
    },
    labelStyle(this: EditorNode) {
      return this.name ? 'node_label_italic' : '';
    },
    oneditprepare(this: EditorNode) {
      prepareForm(description, this, text);
    },
    oneditsave(this: EditorNode) {
      saveForm(description, this);
    },
    oneditcancel(this: EditorNode) {
      cancelForm(description, this);
    },
  };
  if (isConfig) {
    return {
      category: 'config',
      icon,
      ...behaviour,
      oneditdelete(this: EditorNode) {
        cancelForm(description, this);
      },
    };
  }
  const paletteLabel = () => text(`${type}.label`);
  const outputLabels = (index: number) =>
    text(outputs > 1 ? `${type}.outputs.${index + 1}` : `${type}.output`);
  const shown = { category: 'backup', color, icon, inputs, outputs, paletteLabel, outputLabels };
  return { ...shown, ...buttonOf(description, text), ...behaviour };
}

/** The button on the canvas acts on the node as it was deployed. */
function buttonOf(description: EditorNodeDescription, text: Translate): Pick<NodeTypeDefinition, 'button'> {
  const action = description.actions.find(({ name }) => name === description.button);
  if (action === undefined) return {};
  const button = {
    enabled(this: EditorNode) {
      return this.changed !== true;
    },
    onclick(this: EditorNode) {
      pressButton(description, action, this, text);
    },
  };
  return { button };
}

function properties(
  fields: readonly FormField[],
  property: (field: FormField) => PropertyDefinition,
): Record<string, PropertyDefinition> {
  return Object.fromEntries(fields.map((field) => [field.name, property(field)]));
}

/** What a node is called: its name, else what it is about, else its type. */
function labelOf(description: EditorNodeDescription, node: EditorNode, text: Translate): string {
  const { type, labelFrom, form } = description;
  if (typeof node.name === 'string' && node.name !== '') return node.name;
  for (const name of labelFrom) {
    const field = form.fields.find((candidate) => candidate.name === name);
    const value = node[name];
    if (field === undefined || typeof value !== 'string' || value === '') continue;
    if (caseOf(description, node, field) === undefined) continue;
    if (field.options.includes(value)) return text(optionKey(`${type}.${name}`, value));
    if (field.configTypes === undefined) return value;
    const referred = red.nodes.node(value);
    if (referred) return red.utils.getNodeLabel(referred);
  }
  return text(`${type}.label`);
}
