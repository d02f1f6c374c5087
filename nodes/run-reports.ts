import type { EventEmitter } from 'node:events';
import type { NodeAPI, NodeMessage } from 'node-red';
import { type BackupError, messageAbout } from '../lib/errors.ts';
import { deadLetterText } from '../lib/runs/dead-letter-text.ts';
import type { JobChange } from '../lib/runs/jobs.ts';
import type { EngineEvents, RunNotice } from '../lib/runs/outcome.ts';

type ReportApi = Pick<NodeAPI, 'nodes' | 'log'>;

/**
 * Turns what the engine reports about runs into what Node-RED knows: errors of the node that they concern,
 * which Catch nodes see, and lines of its log.
 */
export class RunReports {
  readonly #RED: ReportApi;
  /** By run and source node: the message that an error of a database is reported with. */
  readonly #messages = new Map<string, Map<string, NodeMessage>>();

  constructor(events: EventEmitter<EngineEvents>, RED: ReportApi) {
    this.#RED = RED;
    events.on('artifactFailed', ({ runId, node, database, error }) => {
      this.#artifactFailed(runId, node, database, error);
    });
    events.on('notice', (notice) => this.tell(notice));
    events.on('finished', ({ runId }) => this.#messages.delete(runId));
  }

  /** Keeps the message with which a source took part in a run, until the run has ended. */
  remember(runId: string, nodeId: string, message: NodeMessage): void {
    const messages = this.#messages.get(runId) ?? new Map<string, NodeMessage>();
    this.#messages.set(runId, messages.set(nodeId, message));
  }

  /** One database failed while the others go on: once for each, at the source that should have dumped it. */
  #artifactFailed(runId: string, nodeId: string, database: string, error: BackupError): void {
    const text = messageAbout(database, error.message);
    const node = this.#RED.nodes.getNode(nodeId);
    if (node) node.error(text, this.#messages.get(runId)?.get(nodeId));
    else this.#RED.log.error(`[dbackup] ${text}`);
  }

  /**
   * A job runs no more by itself: told once, at the source that has opened the run, with its message.
   * @param sources those of the job, in case that a deploy has replaced it
   */
  deadLettered(change: JobChange, sources: readonly { readonly id: string }[]): void {
    const messages = this.#messages.get(change.runId ?? '') ?? new Map<string, NodeMessage>();
    const ids = [...messages.keys(), ...sources.map(({ id }) => id)];
    const id = ids.find((candidate) => this.#RED.nodes.getNode(candidate));
    const text = deadLetterText(change);
    if (id === undefined) this.#RED.log.error(`[dbackup] ${text}`);
    else this.#RED.nodes.getNode(id)?.error(text, messages.get(id) ?? {});
  }

  /** A line of the node that it concerns, else of the log. */
  tell({ level, message, node: nodeId }: Omit<RunNotice, 'runId'>): void {
    const node = nodeId === undefined ? undefined : this.#RED.nodes.getNode(nodeId);
    if (!node) this.#RED.log[level](`[dbackup] ${message}`);
    else if (level === 'info') node.log(message);
    else node[level](message);
  }
}
