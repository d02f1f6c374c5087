import { BackupError } from '../errors.ts';
import { enabledNodes, type FlowNode, nameOf, nodeLabel } from './flow-file.ts';
import { FlowGraph } from './flow-graph.ts';
import type { BackupNodeType } from './flow-problem.ts';

/** Roles of nodes that do something by themselves when a message comes. */
const STARTED = new Set<BackupNodeType['role']>(['source', 'other']);

/**
 * Inject and schedule nodes that start a backup, restore or verification. Those inside subflows cannot be fired from
 * outside.
 */
export function flowTriggers(
  nodes: readonly FlowNode[],
  types: ReadonlyMap<string, BackupNodeType>,
): FlowNode[] {
  const enabled = enabledNodes(nodes);
  const graph = new FlowGraph(enabled, new Set(nodes.map(({ id }) => id)));
  const templates = new Set(enabled.filter(({ type }) => type === 'subflow').map(({ id }) => id));
  const isSchedule = (node: FlowNode) => types.get(node.type)?.role === 'trigger';
  // What leads to a schedule tells it what to do, and starts nothing itself.
  const reached = (node: FlowNode) => graph.reachableFrom(node.id, { rescues: false, stop: isSchedule });
  return enabled.filter(
    (node) =>
      (node.type === 'inject' || isSchedule(node)) &&
      !templates.has(node.z ?? '') &&
      reached(node).some((found) => starts(found, types)),
  );
}

function starts(node: FlowNode, types: ReadonlyMap<string, BackupNodeType>): boolean {
  const role = types.get(node.type)?.role;
  return role !== undefined && STARTED.has(role);
}

/**
 * The node that starts the flow: the one that a person names by id or name, else the only one.
 * @throws BackupError `invalid-config` that lists them when it is not clear which is meant
 */
export function chooseTrigger(triggers: readonly FlowNode[], wanted: string | undefined): FlowNode {
  const found =
    wanted === undefined
      ? triggers
      : triggers.filter((node) => node.id === wanted || nameOf(node) === wanted);
  const [only, ...others] = found;
  if (only !== undefined && others.length === 0) return only;
  throw new BackupError('invalid-config', `${problemOf(found, wanted)}${choices(triggers)}`);
}

function problemOf(found: readonly FlowNode[], wanted: string | undefined): string {
  if (wanted !== undefined) {
    return found.length === 0
      ? `No inject or schedule node "${wanted}" leads to a source, restore or verify node`
      : `Several of them are called "${wanted}": name one by its id`;
  }
  return found.length === 0
    ? 'No inject or schedule node leads to a source, restore or verify node: wire one to it, or use "dbackup serve" for a flow that something else starts'
    : 'Several nodes could be meant: choose one with --trigger';
}

function choices(triggers: readonly FlowNode[]): string {
  return triggers.length === 0 ? '' : ` (${triggers.map(nodeLabel).join(', ')})`;
}

/**
 * The flow for a run that is started by hand: no inject node fires by a clock, and the triggers do not
 * fire at the start of the flow either. Schedule nodes ask their runtime whether they may.
 */
export function withoutSchedules(nodes: readonly FlowNode[], triggers: readonly FlowNode[]): FlowNode[] {
  const starting = new Set(triggers.map(({ id }) => id));
  return nodes.map((node) => {
    if (node.type !== 'inject') return node;
    return { ...node, repeat: '', crontab: '', ...(starting.has(node.id) ? { once: false } : {}) };
  });
}
