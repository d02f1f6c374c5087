import { z } from 'zod';
import { BackupError } from '../errors.ts';

/** A value of a group's, tab's or subflow's environment table. */
export const envEntry = z.looseObject({ name: z.string(), value: z.unknown(), type: z.string().optional() });

const subflowPort = z.looseObject({
  wires: z.array(z.looseObject({ id: z.string(), port: z.number().optional() })).default([]),
});

/** One entry of an exported flow: a node, config node, tab, group or subflow, as Node-RED writes it. */
const flowNode = z.looseObject({
  id: z.string().min(1),
  type: z.string().min(1),
  name: z.string().optional().catch(undefined),
  /** Tab or subflow that it is on. */
  z: z.string().exactOptional(),
  /** Group that it is in. */
  g: z.string().exactOptional(),
  /** Disabled node. */
  d: z.boolean().optional(),
  /** Disabled tab. */
  disabled: z.boolean().optional(),
  wires: z.array(z.array(z.string())).optional().catch(undefined),
  links: z.array(z.string()).optional().catch(undefined),
  env: z.array(envEntry).optional().catch(undefined),
  in: z.array(subflowPort).optional().catch(undefined),
  out: z.array(subflowPort).optional().catch(undefined),
});

export type FlowNode = z.infer<typeof flowNode>;
export type EnvEntry = z.infer<typeof envEntry>;

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
  const off = new Set(nodes.filter((node) => node.type === 'tab' && node.disabled).map((tab) => tab.id));
  return nodes.filter((node) => !node.d && !(node.z !== undefined && off.has(node.z)) && !off.has(node.id));
}

/** How a person finds a node: its name where it has one. */
export function nodeLabel(node: FlowNode): string {
  return node.name ? `"${node.name}" (${node.type} ${node.id})` : `${node.type} ${node.id}`;
}
