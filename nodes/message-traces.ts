import { MessageLedger } from './message-ledger.ts';
import type { MessageTrace, TrackedNode } from './run-tracker-port.ts';

interface Trace {
  readonly runs: Set<string>;
  readonly ended: () => void;
}

/**
 * Counts the messages that descend from others, by the `_msgid` that they share: the run tracker feeds it with what
 * the hooks see. Only what is traced is counted.
 */
export class MessageTraces {
  readonly #ledger: MessageLedger;
  readonly #traces = new Map<string, Trace>();
  readonly #now: () => number;
  #check: NodeJS.Immediate | undefined;

  constructor(now: () => number) {
    this.#now = now;
    this.#ledger = new MessageLedger(now);
  }

  trace(messageId: string, ended: () => void): MessageTrace {
    const runs = new Set<string>();
    this.#traces.set(messageId, { runs, ended });
    this.#ledger.expect(messageId);
    // Wires may lead to nothing.
    this.#scheduleCheck();
    return {
      runs,
      held: () =>
        this.#ledger.openEntries(messageId).map(({ node, place, joined, since }) => ({
          node,
          place,
          joined,
          heldMs: this.#now() - since,
        })),
    };
  }

  /** A source has opened a run with this message. */
  opened(runId: string, msg: object): void {
    this.#traces.get(messageIdOf(msg))?.runs.add(runId);
  }

  sent(node: TrackedNode, msg: object): void {
    if (this.#traces.size > 0) this.#ledger.sent(node, msg, messageIdOf(msg));
  }

  received(node: TrackedNode, msg: object, reports: boolean): void {
    if (this.#traces.size > 0) this.#ledger.received(node, msg, messageIdOf(msg), reports);
  }

  returned(node: TrackedNode, msg: object): void {
    this.#moved(this.#ledger.returned(node, msg));
  }

  completed(node: TrackedNode, msg: object): void {
    this.#moved(this.#ledger.completed(node, msg));
  }

  /** Nodes that a deploy has replaced never report what they held. */
  endInside(gone: (node: TrackedNode) => boolean): void {
    if (this.#ledger.endInside(gone).size > 0) this.#scheduleCheck();
  }

  dispose(): void {
    if (this.#check !== undefined) clearImmediate(this.#check);
    this.#traces.clear();
  }

  #moved(messageId: string | undefined): void {
    if (messageId !== undefined && this.#ledger.isDue(messageId)) this.#scheduleCheck();
  }

  /** One turn later, since a node may send after it has reported. */
  #scheduleCheck(): void {
    this.#check ??= setImmediate(() => {
      this.#check = undefined;
      const over = [...this.#traces].filter(([messageId]) => this.#ledger.isDue(messageId));
      for (const [messageId, { ended }] of over) {
        this.#traces.delete(messageId);
        this.#ledger.seal(messageId);
        ended();
      }
    });
  }
}

function messageIdOf(msg: object): string {
  const id: unknown = '_msgid' in msg ? msg._msgid : undefined;
  return typeof id === 'string' ? id : '';
}
