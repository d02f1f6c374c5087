import { checkCopies } from './flow-copies.ts';
import { FlowEnvironment } from './flow-environment.ts';
import { checkFields } from './flow-fields.ts';
import { enabledNodes, type FlowNode, nodeLabel } from './flow-file.ts';
import { FlowGraph } from './flow-graph.ts';
import type { FlowCheckContext, FlowProblem } from './flow-problem.ts';
import { checkWiring } from './flow-wiring.ts';

/** Finds everything that is wrong with a flow, without running it. Errors come first. */
export function checkFlow(nodes: readonly FlowNode[], context: FlowCheckContext): FlowProblem[] {
  const enabled = enabledNodes(nodes);
  const graph = new FlowGraph(enabled, new Set(nodes.map((node) => node.id)));
  const environment = new FlowEnvironment(nodes, context.environment);
  const problems = [
    ...duplicateIds(nodes),
    ...unknownTypes(enabled, context),
    ...enabled.flatMap((node) => checkFields(node, nodes, environment, context)),
    ...checkWiring(enabled, graph, context.backupTypes),
    ...checkCopies(enabled, graph, environment, context),
  ];
  return problems.sort((a, b) => rank(a) - rank(b));
}

function rank(problem: FlowProblem): number {
  return problem.severity === 'error' ? 0 : 1;
}

function duplicateIds(nodes: readonly FlowNode[]): FlowProblem[] {
  const seen = new Set<string>();
  const problems: FlowProblem[] = [];
  for (const node of nodes) {
    if (seen.has(node.id)) {
      problems.push({
        severity: 'error',
        code: 'duplicate-id',
        node: node.id,
        message: `The id ${node.id} is used twice: import the second part through the editor, which gives new ids`,
      });
    }
    seen.add(node.id);
  }
  return problems;
}

function unknownTypes(enabled: readonly FlowNode[], context: FlowCheckContext): FlowProblem[] {
  const templates = new Set(enabled.filter((node) => node.type === 'subflow').map((node) => node.id));
  const problems: FlowProblem[] = [];
  for (const node of enabled) {
    const template = /^subflow:(.+)$/.exec(node.type)?.[1];
    if (template !== undefined) {
      if (!templates.has(template)) problems.push(unknown(node, 'its subflow is not in the flow'));
    } else if (!context.backupTypes.has(node.type) && !context.isKnownType(node.type)) {
      problems.push(unknown(node, 'no installed module brings this node type'));
    }
  }
  return problems;
}

function unknown(node: FlowNode, why: string): FlowProblem {
  return {
    severity: 'error',
    code: 'unknown-type',
    node: node.id,
    message: `${nodeLabel(node)}: ${why}`,
  };
}
