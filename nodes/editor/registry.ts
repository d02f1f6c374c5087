import type { EditorNodeDescription } from './node-description.ts';

const descriptions = new Map<string, EditorNodeDescription>();

export function register(description: EditorNodeDescription): void {
  descriptions.set(description.type, description);
}

/** The description of a node type of this package; undefined for any other. */
export function descriptionOf(type: string): EditorNodeDescription | undefined {
  return descriptions.get(type);
}
