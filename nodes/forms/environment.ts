import type { RawSettings } from './settings.ts';

const WHOLE = /^\$[({](\S+)[)}]$/;

/**
 * Replaces settings that are one whole `${NAME}` as Node-RED does when it starts a node, lists included.
 * What `lookup` does not know stays as it is, so that the check can name it.
 */
export function substituteVariables(
  raw: RawSettings,
  lookup: (name: string) => unknown = (name) => process.env[name],
): Record<string, unknown> {
  return Object.fromEntries(Object.entries(raw).map(([key, value]) => [key, substitute(value, lookup)]));
}

function substitute(value: unknown, lookup: (name: string) => unknown): unknown {
  if (Array.isArray(value)) return value.map((entry) => substitute(entry, lookup));
  if (typeof value !== 'string') return value;
  const name = WHOLE.exec(value)?.[1];
  return name === undefined ? value : (lookup(name) ?? value);
}
