import { systemClock } from '../../lib/clock.ts';
import { BackupError } from '../../lib/errors.ts';
import type { Delivery } from '../../lib/notifiers/notifier.ts';
import { enabledNodes, type FlowNode, nameOf, nodeLabel } from '../../lib/plan/flow-file.ts';
import { sendTest } from '../../nodes/notifiers/send-test.ts';
import { nodeSchemas } from '../../nodes/schemas.ts';
import { NOTIFIER } from '../../nodes/services.ts';
import type { CommandBody } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { dataDirectory, type FlowOptions, readFlow } from '../flow-input.ts';
import { FlowServices } from '../flow-services.ts';
import { printable } from '../format.ts';
import { errorJson } from '../output.ts';

export interface NotifyTestInput extends FlowOptions {
  readonly flow: string;
  /** Name or id of a notifier; not needed when the flow has one only. */
  readonly node?: string;
  readonly json?: boolean;
}

/** Sends a test message through a notifier of a flow. */
export const notifyTest: CommandBody<NotifyTestInput> = async (input, { output, signal, env }) => {
  const flow = await readFlow(input.flow, input, env);
  const node = chooseNotifier(flow.file, flow.nodes, input.node);
  const service = new FlowServices(flow, dataDirectory(input, env), env).find(NOTIFIER, node);
  if (service === undefined) throw new BackupError('invalid-config', `${nodeLabel(node)} is no notifier`);
  const channel = service.channel();
  const delivery = await sendTest(channel, 'dbackup notify test', systemClock, signal);
  if (input.json) output.json({ node: node.id, service: channel.describe(), ...deliveryJson(delivery) });
  else if (delivery.error === undefined) output.print(printable(told(channel.describe(), delivery)));
  if (delivery.error !== undefined && !input.json) throw delivery.error;
  return delivery.error === undefined ? EXIT.ok : EXIT.failed;
};

function chooseNotifier(file: string, nodes: readonly FlowNode[], wanted: string | undefined): FlowNode {
  const all = enabledNodes(nodes).filter(({ type }) => nodeSchemas[type]?.role === 'notifier');
  const found = all.filter((node) => wanted === undefined || node.id === wanted || nameOf(node) === wanted);
  const [only, ...others] = found;
  if (only !== undefined && others.length === 0) return only;
  const problem =
    wanted === undefined
      ? `${file} has ${found.length} notifiers`
      : `"${wanted}" names ${found.length} notifiers of ${file}`;
  const listed = all.map(nodeLabel).join(', ') || 'none';
  throw new BackupError('invalid-config', `${problem}: choose one with --node (${listed})`);
}

function told(service: string, { status, responseId, notes }: Delivery): string {
  if (status === 'skipped') return `${service} is told of no tests: ${notes.join(' ')}`;
  const id = responseId === undefined ? '' : ` (${responseId})`;
  return [`${service} has taken a test message${id}`, ...notes].join('. ');
}

function deliveryJson({ status, attempts, responseId, notes, error }: Delivery) {
  return {
    status,
    attempts,
    ...(responseId === undefined ? {} : { responseId }),
    ...(notes.length === 0 ? {} : { notes }),
    ...(error === undefined ? {} : { error: errorJson(error) }),
  };
}
