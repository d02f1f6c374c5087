import type { FlowEnvironment } from './flow-environment.ts';
import { resolvedSettings } from './flow-fields.ts';
import { type FlowNode, nodeLabel } from './flow-file.ts';
import type { FlowGraph } from './flow-graph.ts';
import type { BackupNodeType, FlowCheckContext, FlowProblem } from './flow-problem.ts';

/** Finds sources whose runs need more copies than there are destinations behind them. */
export function checkCopies(
  enabled: readonly FlowNode[],
  graph: FlowGraph,
  environment: FlowEnvironment,
  context: FlowCheckContext,
): FlowProblem[] {
  const { backupTypes, credentialsOf } = context;
  const roleOf = (node: FlowNode): BackupNodeType['role'] | undefined => backupTypes.get(node.type)?.role;
  const templates = new Set(enabled.filter(({ type }) => type === 'subflow').map(({ id }) => id));
  const sources = enabled.filter((node) => roleOf(node) === 'source');
  const behind = (source: FlowNode) =>
    graph.reachableFrom(source.id, { stop: (node) => roleOf(node) === 'destination' });
  // These add themselves to the run of another source, which says what is needed.
  const joining = new Set(sources.flatMap(behind));
  return sources.flatMap((source) => {
    const { values, undetermined } = resolvedSettings(source, environment);
    const copies = backupTypes
      .get(source.type)
      ?.copiesNeeded?.({ values, credentials: credentialsOf(source) });
    if (copies === undefined || joining.has(source)) return [];
    if (undetermined.has('needs') || undetermined.has('copies')) return [];
    const destinations = behind(source).filter((node) => roleOf(node) === 'destination');
    // A node of a subflow is as many nodes as the subflow is used.
    const isCountable = [source, ...destinations].every(({ z }) => z === undefined || !templates.has(z));
    if (!isCountable || destinations.length >= copies) return [];
    return [tooFew(source, copies, destinations.length)];
  });
}

function tooFew(source: FlowNode, copies: number, destinations: number): FlowProblem {
  const found = `${destinations} destination${destinations === 1 ? '' : 's'}`;
  return {
    severity: 'error',
    code: 'too-few-destinations',
    node: source.id,
    field: 'copies',
    message: `${nodeLabel(source)}, copies: the run needs ${copies} verified copies, and only ${found} can be reached: wire more of them after it, or let it need fewer`,
  };
}
