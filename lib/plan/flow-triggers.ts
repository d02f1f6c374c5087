import { BackupError } from '../errors.ts';
import { enabledNodes, type FlowNode, nameOf, nodeLabel } from './flow-file.ts';
import { FlowGraph } from './flow-graph.ts';
import type { BackupNodeType } from './flow-problem.ts';

/** Inject nodes whose message can come to a source. Those inside subflows cannot be fired from outside. */
export function backupTriggers(
  nodes: readonly FlowNode[],
  types: ReadonlyMap<string, BackupNodeType>,
): FlowNode[] {
  const enabled = enabledNodes(nodes);
  const graph = new FlowGraph(enabled, new Set(nodes.map(({ id }) => id)));
  const templates = new Set(enabled.filter(({ type }) => type === 'subflow').map(({ id }) => id));
  return enabled.filter(
    (node) =>
      node.type === 'inject' &&
      !templates.has(node.z ?? '') &&
      graph.reachableFrom(node.id, { rescues: false }).some(({ type }) => types.get(type)?.role === 'source'),
  );
}

/**
 * The inject node that starts the backup: the one that a person names by id or name, else the only one.
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
      ? `No inject node "${wanted}" leads to a source`
      : `Several inject nodes are called "${wanted}": name one by its id`;
  }
  return found.length === 0
    ? 'No inject node leads to a source: wire one to it, or use "dbackup serve" for a flow that something else starts'
    : 'Several inject nodes lead to a source: choose one with --trigger';
}

function choices(triggers: readonly FlowNode[]): string {
  return triggers.length === 0 ? '' : ` (${triggers.map(nodeLabel).join(', ')})`;
}

/**
 * The flow for a run that is started by hand: no inject node fires by a clock, and those that start a backup
 * not at the start of the flow either.
 */
export function withoutSchedules(nodes: readonly FlowNode[], triggers: readonly FlowNode[]): FlowNode[] {
  const starting = new Set(triggers.map(({ id }) => id));
  return nodes.map((node) => {
    if (node.type !== 'inject') return node;
    return { ...node, repeat: '', crontab: '', ...(starting.has(node.id) ? { once: false } : {}) };
  });
}
