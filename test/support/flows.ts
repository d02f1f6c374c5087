import type { FlowEntry } from '../../runner/runtime.ts';

export const TAB: FlowEntry = { id: 'tab', type: 'tab', label: 'Test' };

/** A node on the test tab; `wires` lists the targets of each output. */
export function node(
  id: string,
  type: string,
  wires: readonly (readonly string[])[] = [],
  properties: Readonly<Record<string, unknown>> = {},
): FlowEntry {
  return { z: TAB.id, x: 100, y: 100, ...properties, id, type, wires };
}

/** The beginning of every test flow: an inject node `in` and a source `src` wired to the given nodes. */
export function opening(...targets: readonly string[]): FlowEntry[] {
  return [TAB, node('in', 'inject', [['src']], { props: [] }), node('src', 'test-source', [targets])];
}

export function destination(id: string, ...targets: readonly string[]): FlowEntry {
  return node(id, 'test-destination', [targets]);
}

export function step(id: string, ...targets: readonly string[]): FlowEntry {
  return node(id, 'test-step', [targets]);
}

export function delay(id: string, ms: number, ...targets: readonly string[]): FlowEntry {
  const settings = { pauseType: 'delay', timeout: String(ms), timeoutUnits: 'milliseconds' };
  return node(id, 'delay', [targets], settings);
}

export function functionNode(id: string, func: string, wires: readonly (readonly string[])[]): FlowEntry {
  return node(id, 'function', wires, { func, outputs: wires.length, libs: [] });
}
