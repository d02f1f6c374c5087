import assert from 'node:assert/strict';
import { systemClock } from '../../lib/clock.ts';
import type { AnyNode } from '../../nodes/define-node.ts';
import type { ActionAnswer } from '../../nodes/form-actions.ts';
import { readSettings, settingsError } from '../../nodes/forms/settings.ts';

/**
 * Presses the "Test connection" of a node's form, with these values in it, as the admin route does.
 * @throws BackupError as the person would be told
 */
export async function askForm(
  node: AnyNode,
  values: Readonly<Record<string, unknown>>,
  dataDir: string,
): Promise<ActionAnswer> {
  const action = node.actions?.find(({ name }) => name === 'test');
  assert.ok(action, `${node.type} has no test`);
  const filled = { ...values };
  for (const [name, value] of Object.entries(action.standIns ?? {})) {
    if (String(filled[name] ?? '') === '') filled[name] = value;
  }
  const result = readSettings(node, filled);
  if ('problems' in result) throw settingsError('This node', result.problems);
  const { signal } = new AbortController();
  const refuse = () => assert.fail('It refers to no other node');
  const before = refuse;
  const environment = {
    dataDir,
    clock: systemClock,
    language: 'en',
    signal,
    use: refuse,
    running: refuse,
    before,
  };
  return action.run(result.settings as never, environment);
}
