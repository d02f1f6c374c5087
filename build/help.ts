import type { AnyNode } from '../nodes/define-node.ts';
import type { FormField } from '../nodes/forms/form-description.ts';
import { formOf } from '../nodes/forms/settings.ts';
import { attribute } from './editor-html.ts';
import { type Catalogue, findText, textOf } from './sources.ts';

/** Where the help of a node wants the list of its fields. */
const PLACE = /<!-- fields of ([a-z0-9-]+) -->/g;

/** Puts the list of each node's fields into the help that people wrote. */
export function withFieldTables(help: string, nodes: readonly AnyNode[], catalogue: Catalogue): string {
  return help.replaceAll(PLACE, (_place, type: string) => {
    const node = nodes.find((candidate) => candidate.type === type);
    if (node === undefined) throw new Error(`The help names the fields of ${type}, which is not in this set`);
    return fieldList(node, catalogue);
  });
}

/** The fields of a node as its help shows them. */
export function fieldList(node: AnyNode, catalogue: Catalogue): string {
  const { fields } = formOf(node.schema);
  const entries = fields.map((field) => {
    const label = textOf(catalogue, `${node.type}.${field.name}.label`);
    const kind = kindOf(field, catalogue);
    const hint = textOf(catalogue, `${node.type}.${field.name}.hint`);
    return `<dt>${attribute(label)} <span class="property-type">${attribute(kind)}</span></dt>\n<dd>${attribute(hint)}</dd>`;
  });
  return `<dl class="message-properties">\n${entries.join('\n')}\n</dl>`;
}

/** What a field takes, in a few words. */
export function kindOf(field: FormField, catalogue: Catalogue): string {
  const kind = textOf(catalogue, `form.kinds.${field.control}`);
  if (field.unit === undefined) return kind;
  return `${kind}, ${findText(catalogue, `form.units.${field.unit}`) ?? field.unit}`;
}
