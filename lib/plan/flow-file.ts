import { z } from 'zod';
import { BackupError } from '../errors.ts';

const envTable = z.array(
  z.looseObject({ name: z.string(), value: z.unknown(), type: z.string().optional() }),
);
const wireTable = z.array(z.array(z.string()));
const linkList = z.array(z.string());
const subflowPorts = z.array(
  z.looseObject({ wires: z.array(z.looseObject({ id: z.string() })).default([]) }),
);

/**
 * One entry of an exported flow: a node, config node, tab, group or subflow, with all that Node-RED wrote.
 * Only what every entry has is checked: other properties mean what each node type wants them to.
 */
const flowNode = z.looseObject({
  id: z.string().min(1),
  type: z.string().min(1),
  /** Tab or subflow that it is on. */
  z: z.string().exactOptional(),
  /** Group that it is in. */
  g: z.string().exactOptional(),
});

export type FlowNode = z.infer<typeof flowNode>;
export type EnvEntry = z.infer<typeof envTable>[number];
export type SubflowPort = z.infer<typeof subflowPorts>[number];

/**
 * Reads an exported flow: the array that the editor's export writes, or the `{flows: […]}` of its API.
 * @throws BackupError `invalid-config` when it is something else
 */
export function parseFlow(text: string, where: string): FlowNode[] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new BackupError(
      'invalid-config',
      `${where} is not JSON (${cause instanceof Error ? cause.message : String(cause)}): export the flow again`,
      { cause },
    );
  }
  const entries = typeof json === 'object' && json !== null && 'flows' in json ? json.flows : json;
  if (!Array.isArray(entries)) {
    throw new BackupError(
      'invalid-config',
      `${where} is not a Node-RED flow: a flow is a JSON array of nodes, as Export in the editor's menu writes it`,
    );
  }
  if (entries.length === 0) throw new BackupError('invalid-config', `${where} is an empty flow`);
  return entries.map((entry: unknown, index) => parseNode(entry, index, where));
}

function parseNode(entry: unknown, index: number, where: string): FlowNode {
  const parsed = flowNode.safeParse(entry);
  if (parsed.success) return parsed.data;
  const problem = z.prettifyError(parsed.error).replaceAll('\n', ' ');
  throw new BackupError(
    'invalid-config',
    `Entry ${index + 1} of ${where} is not a node of a flow: ${problem}`,
  );
}

/** The nodes that would run: without disabled nodes and without those on disabled tabs. */
export function enabledNodes(nodes: readonly FlowNode[]): FlowNode[] {
  const off = new Set(
    nodes.filter((node) => node.type === 'tab' && node.disabled === true).map(({ id }) => id),
  );
  return nodes.filter(
    (node) => node.d !== true && !off.has(node.id) && !(node.z !== undefined && off.has(node.z)),
  );
}

/** Ids that each output of the node is wired to. */
export function wiresOf(node: FlowNode): readonly (readonly string[])[] {
  return wireTable.safeParse(node.wires).data ?? [];
}

/** Ids that a link node is linked with. */
export function linksOf(node: FlowNode): readonly string[] {
  return linkList.safeParse(node.links).data ?? [];
}

/** The environment table of a tab, group, subflow, subflow instance or global config node. */
export function envOf(node: FlowNode): readonly EnvEntry[] {
  return envTable.safeParse(node.env).data ?? [];
}

/** The inputs or outputs of a subflow. */
export function portsOf(subflow: FlowNode, side: 'in' | 'out'): readonly SubflowPort[] {
  return subflowPorts.safeParse(subflow[side]).data ?? [];
}

/** The name that a person gave the node, undefined without one. */
export function nameOf(node: FlowNode): string | undefined {
  return typeof node.name === 'string' && node.name !== '' ? node.name : undefined;
}

/** How a person finds a node: its name where it has one. */
export function nodeLabel(node: FlowNode): string {
  const name = nameOf(node);
  return name === undefined ? `${node.type} ${node.id}` : `"${name}" (${node.type} ${node.id})`;
}
