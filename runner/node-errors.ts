import type { NodeRed } from './node-red.ts';
import type { LogLine } from './runtime.ts';

/** An error that a node reported. */
export interface NodeError {
  readonly line: LogLine;
  /** A Catch node of the flow took it, so that Node-RED did not log it. */
  readonly caught: boolean;
}

interface CompleteEvent {
  readonly error?: unknown;
  readonly node: { readonly node: { readonly id: string; readonly type: string; readonly name?: string } };
}

const HOOK = 'onComplete.dbackup-errors';
const OURS = /^dbackup-/;

/**
 * Collects what went wrong in a flow: every error that Node-RED logs, and those of backup nodes that a Catch
 * node took. A backup that was not verified is no success, whoever was told about it.
 */
export class NodeErrors {
  readonly #logged: LogLine[] = [];
  readonly #reported: LogLine[] = [];

  /** Listens to what nodes report when they are done with a message. @returns ends it */
  listen({ runtime: { hooks } }: NodeRed): () => void {
    hooks.add(HOOK, ({ error, node: { node } }: CompleteEvent) => {
      if (error === undefined || error === null || !OURS.test(node.type)) return;
      const message = error instanceof Error ? error.message : String(error);
      const { id, type, name } = node;
      this.#reported.push({ level: 'error', message, node: { id, type, ...(name ? { name } : {}) } });
    });
    return () => hooks.remove(HOOK);
  }

  /** Takes a line of the log. */
  logged(line: LogLine): void {
    if (line.level === 'error') this.#logged.push(line);
  }

  all(): NodeError[] {
    const known = new Set(this.#logged.map(keyOf));
    const caught = this.#reported.filter((line) => !known.has(keyOf(line)));
    return [
      ...this.#logged.map((line) => ({ line, caught: false })),
      ...caught.map((line) => ({ line, caught: true })),
    ];
  }
}

function keyOf({ node, message }: LogLine): string {
  return `${node?.id} ${message}`;
}
