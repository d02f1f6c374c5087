import { resolve } from 'node:path';
import { BackupError } from '../lib/errors.ts';
import { masterSecret } from '../lib/keys/master-secret.ts';
import { checkFlow } from '../lib/plan/flow-check.ts';
import { enabledNodes, type FlowNode, nodeLabel } from '../lib/plan/flow-file.ts';
import type { FlowProblem } from '../lib/plan/flow-problem.ts';
import { backupNodeTypes } from '../nodes/schemas.ts';
import type { PlainCredentials } from './credentials.ts';
import { type FlowInput, flowCredentials } from './flow-input.ts';
import { loadNodeRed } from './node-red.ts';
import { findNodeSets, nodeTypesOf } from './node-sets.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Everything that is wrong with a flow on this host: its wiring and settings, node types that are not
 * installed here, variables, credentials and keys that are not given. Errors come first.
 * @throws BackupError `unavailable` when Node-RED is not installed
 */
export async function validateFlow(
  flow: FlowInput,
  options: { readonly userDir: string; readonly env: Environment },
): Promise<FlowProblem[]> {
  const { credentials, problem } = flowCredentials(flow, options.env);
  const unknown = unknownTypes(flow.nodes, options.userDir);
  const found = checkFlow(flow.nodes, {
    backupTypes: backupNodeTypes,
    isKnownType: (type) => !unknown.has(type),
    environment: options.env,
    credentialsOf: (node) => credentials[node.id] ?? {},
  });
  const keys = await checkVaultKeys(flow.nodes, credentials, options.env);
  const secrets: FlowProblem[] =
    problem === undefined ? [] : [{ severity: 'error', code: 'missing-secret', message: problem.message }];
  return [...secrets, ...keys, ...found];
}

function unknownTypes(nodes: readonly FlowNode[], userDir: string): ReadonlySet<string> {
  const { coreNodesDir } = loadNodeRed(userDir);
  const others = nodeTypesOf(nodes).filter((type) => !backupNodeTypes.has(type));
  const packageDir = resolve(import.meta.dirname, '..');
  return new Set(findNodeSets(others, { coreNodesDir, packageDir, userDir }).unknownTypes);
}

/** A vault key that the flow uses needs the master secret, which no field of the flow has to hold. */
async function checkVaultKeys(
  nodes: readonly FlowNode[],
  credentials: PlainCredentials,
  env: Environment,
): Promise<FlowProblem[]> {
  const used = new Set(
    enabledNodes(nodes)
      .filter(({ type }) => backupNodeTypes.has(type))
      .map(({ key }) => key),
  );
  const problems: FlowProblem[] = [];
  for (const node of nodes) {
    if (node.type !== 'dbackup-key' || node.kind !== 'vault' || !used.has(node.id)) continue;
    const problem = await masterSecretProblem(credentials[node.id]?.masterSecret, env);
    if (problem === undefined) continue;
    const message = `${nodeLabel(node)}: ${problem}`;
    problems.push({ severity: 'error', code: 'missing-secret', node: node.id, message });
  }
  return problems;
}

async function masterSecretProblem(credential: unknown, env: Environment): Promise<string | undefined> {
  if (typeof credential === 'string' && credential !== '') return undefined;
  try {
    if ((await masterSecret({ env })) !== undefined) return undefined;
    return 'the key vault has no master secret: fill it in at the node, or set DBACKUP_MASTER_KEY or DBACKUP_MASTER_KEY_FILE';
  } catch (thrown) {
    if (thrown instanceof BackupError) return thrown.message;
    throw thrown;
  }
}
