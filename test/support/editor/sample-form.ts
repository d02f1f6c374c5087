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
  try {
    await use(await openForm(editor, node));
  } finally {
    await editor.closeForms();
  }
}

/** A config node's form is reached through the form of a node that refers to it. */
async function openForm(editor: Editor, node: AnyNode): Promise<NodeForm> {
  if (node.role !== 'config') return editor.canvas.node(sampleId(node.type)).open();
  const { user, field } = userOf(node);
  return (await openForm(editor, user)).editConfig(field);
}

/** A node that refers to this config node before any other type, in every variant, and the field that does. */
function userOf(config: AnyNode): { user: AnyNode; field: string } {
  for (const user of allNodes) {
    const field = formOf(user.schema).fields.find(
      ({ configTypes, cases }) =>
        configTypes?.[0] === config.type && cases.every(({ when }) => when === undefined),
    );
    if (field !== undefined) return { user, field: field.name };
  }
  return assert.fail(`No node refers to ${config.type}`);
}
