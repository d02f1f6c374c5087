import { backupNodeTypes, nodeSchemas } from '../nodes/schemas.ts';
import type { NodeRed } from './node-red.ts';
import type { LogLine } from './runtime.ts';

/** An error that a node reported. */
export interface NodeError {
  readonly line: LogLine;
  /** A Catch node of the flow took it, so that Node-RED did not log it. */
  readonly caught: boolean;
}

interface ReportingNode {
  readonly id: string;
  readonly type: string;
  readonly name?: string;
}

interface CompleteEvent {
  readonly error?: unknown;
  readonly node: { readonly node: ReportingNode };
}

const HOOK = 'onComplete.dbackup-reports';

/**
 * Collects what nodes say of their work: every error that Node-RED logs, and those of backup nodes that a
 * Catch node took. A backup that was not verified is no success, whoever was told about it.
 */
export class NodeReports {
  readonly #logged: LogLine[] = [];
  readonly #reported: LogLine[] = [];
  #tasks = 0;

  /** Restores and verifications that succeeded. */
  get tasks(): number {
    return this.#tasks;
  }

  /** Listens to what nodes report when they are done with a message. @returns ends it */
  listen({ runtime: { hooks } }: NodeRed): () => void {
    hooks.add(HOOK, ({ error, node: { node } }: CompleteEvent) => {
      const role = backupNodeTypes.get(node.type)?.role;
      if (role === undefined) return;
      if (error !== undefined && error !== null) this.#reported.push(errorLine(node, error));
      else if (role === 'other' && !isNotifier(node)) this.#tasks += 1;
    });
    return () => hooks.remove(HOOK);
  }

  /** Takes a line of the log. */
  logged(line: LogLine): void {
    if (line.level === 'error') this.#logged.push(line);
  }

  errors(): NodeError[] {
    const known = new Set(this.#logged.map(keyOf));
    const caught = this.#reported.filter((line) => !known.has(keyOf(line)));
    return [
      ...this.#logged.map((line) => ({ line, caught: false })),
      ...caught.map((line) => ({ line, caught: true })),
    ];
  }
}

/** To have told somebody is no work done. */
function isNotifier({ type }: ReportingNode): boolean {
  return nodeSchemas[type]?.role === 'notifier';
}

function errorLine({ id, type, name }: ReportingNode, error: unknown): LogLine {
  const message = error instanceof Error ? error.message : String(error);
  return { level: 'error', message, node: { id, type, ...(name ? { name } : {}) } };
}

function keyOf({ node, message }: LogLine): string {
  return `${node?.id} ${message}`;
}
