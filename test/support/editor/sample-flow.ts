import type { AnyNode } from '../../../nodes/define-node.ts';
import type { FormField } from '../../../nodes/forms/form-description.ts';
import { formOf } from '../../../nodes/forms/settings.ts';
import { allNodes } from '../../../nodes/schemas.ts';
import { TAB } from '../flows.ts';

const COLUMNS = 3;

/** Id of the one node of this type in the sample flow. */
export function sampleId(type: string): string {
  return `sample-${type}`;
}

/**
 * A flow with one node of each type of the package, none of them wired. What must be filled in holds the
 * example that the form gives for it.
 */
export function sampleFlow(): readonly unknown[] {
  const configs = allNodes.filter(isConfig).map((node) => ({ ...entry(node) }));
  const nodes = allNodes.filter((node) => !isConfig(node));
  const placed = nodes.map((node, index) => ({
    ...entry(node),
    z: TAB.id,
    x: 140 + 220 * (index % COLUMNS),
    y: 80 + 100 * Math.floor(index / COLUMNS),
    wires: Array.from({ length: node.outputs }, () => []),
  }));
  return [TAB, ...configs, ...placed];
}

function isConfig({ role }: AnyNode): boolean {
  return role === 'config';
}

function entry(node: AnyNode): Record<string, unknown> {
  const fields = formOf(node.schema).fields.filter(({ secret }) => !secret);
  const settings = Object.fromEntries(fields.map((field) => [field.name, example(field)]));
  return { ...settings, id: sampleId(node.type), type: node.type, schemaVersion: node.schemaVersion };
}

function example(field: FormField): unknown {
  const { name, control, configTypes, initial, cases, placeholder = '', requiredUnless } = field;
  const required = cases[0]?.rule.required === true || requiredUnless !== undefined;
  // Nobody is asked beyond this machine.
  if (name === 'host') return '127.0.0.1';
  if (configTypes !== undefined) return sampleId(configTypes[0] ?? '');
  if (control === 'list' && required) return [placeholder];
  return required && initial === '' ? onThisMachine(placeholder) : initial;
}

/** An address where nothing listens. */
function onThisMachine(example: string): string {
  return example.replace(/^https:\/\/[^/]+/, 'https://127.0.0.1:9');
}
