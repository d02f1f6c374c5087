import assert from 'node:assert/strict';
import type { AnyNode } from '../../../nodes/define-node.ts';
import { formOf } from '../../../nodes/forms/settings.ts';
import { allNodes } from '../../../nodes/schemas.ts';
import type { Editor } from './editor.ts';
import type { NodeForm } from './node-form.ts';
import { sampleId } from './sample-flow.ts';

/** Opens the form of a node of the sample flow, lets it be used, and closes it without a change. */
export async function withSampleForm(
  editor: Editor,
  node: AnyNode,
  use: (form: NodeForm) => Promise<void>,
): Promise<void> {
  const user = node.role === 'config' ? userOf(node) : { type: node.type, field: undefined };
  try {
    const form = await editor.canvas.node(sampleId(user.type)).open();
    await use(user.field === undefined ? form : await form.editConfig(user.field));
  } finally {
    await editor.closeForms();
  }
}

/** A node that refers to this config node in every variant, and the field that does. */
function userOf(config: AnyNode): { type: string; field: string } {
  for (const { type, schema } of allNodes) {
    const field = formOf(schema).fields.find(
      ({ configTypes, cases }) =>
        configTypes?.includes(config.type) && cases.every(({ when }) => when === undefined),
    );
    if (field !== undefined) return { type, field: field.name };
  }
  return assert.fail(`No node refers to ${config.type}`);
}
