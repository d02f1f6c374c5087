import type { EventEmitter } from 'node:events';
import type { NodeStatus } from 'node-red';
import type { EngineEvents, QueuedRun, RunProgress, RunResult } from '../../lib/runs/outcome.ts';
import type { NodeRole } from '../node-role.ts';
import {
  destinationProgress,
  destinationResult,
  queued,
  sourceProgress,
  sourceResult,
  TRANSFORM_PROGRESS,
  type Translate,
} from './status-text.ts';

/** Shortest time between two updates of one node, in ms: more would flood the editor's connection. */
const UPDATE_EVERY_MS = 500;

interface Shown {
  readonly role: NodeRole;
  latest: NodeStatus | undefined;
  sentAt: number;
  timer: NodeJS.Timeout | undefined;
}

/**
 * Shows the engine's runs beside the nodes that take part. It knows nodes by their ids, not as objects, so
 * that a redeployed node goes on showing the run that its predecessor began.
 */
export class StatusBoard {
  readonly #send: (nodeId: string, status: NodeStatus) => void;
  readonly #text: Translate;
  readonly #nodes = new Map<string, Shown>();
  readonly #runs = new Map<string, readonly string[]>();
  /** Runs that were shown as waiting for their turn. */
  readonly #waiting = new Set<string>();

  constructor(
    events: EventEmitter<EngineEvents>,
    send: (nodeId: string, status: NodeStatus) => void,
    text: Translate,
  ) {
    this.#send = send;
    this.#text = text;
    events.on('progress', (progress) => this.#progress(progress));
    events.on('queued', (run) => this.#queued(run));
    events.on('state', ({ runId, state, nodes }) => {
      if (state === 'queued' || state === 'running') this.#runs.set(runId, nodes);
      if (state === 'running' && this.#waiting.delete(runId)) this.#begun(nodes);
    });
    events.on('finished', (result) => this.#finished(result));
  }

  /** Announces a node that has just started, and shows again what its predecessor showed. */
  enlist(nodeId: string, role: NodeRole): void {
    const known = this.#nodes.get(nodeId);
    if (known === undefined) {
      this.#nodes.set(nodeId, {
        role,
        latest: undefined,
        sentAt: Number.NEGATIVE_INFINITY,
        timer: undefined,
      });
    } else if (known.latest !== undefined) {
      this.#send(nodeId, known.latest);
    }
  }

  /** Shows a status that no run brought about, at once. */
  set(nodeId: string, status: NodeStatus): void {
    const shown = this.#nodes.get(nodeId);
    if (shown === undefined) return;
    shown.latest = status;
    this.#flush(nodeId, shown);
  }

  /** Shows how far something has come that no run brings about; seldom enough for the editor. */
  update(nodeId: string, status: NodeStatus): void {
    this.#render(nodeId, () => status);
  }

  /** Forgets the waiting updates. */
  close(): void {
    for (const { timer } of this.#nodes.values()) clearTimeout(timer);
    this.#nodes.clear();
  }

  #queued(run: QueuedRun): void {
    this.#waiting.add(run.runId);
    for (const nodeId of run.nodes) this.#render(nodeId, () => queued(run, this.#text));
  }

  /** Its first figures may take a while. */
  #begun(nodes: readonly string[]): void {
    for (const nodeId of nodes) this.#render(nodeId, () => TRANSFORM_PROGRESS);
  }

  #progress(progress: RunProgress): void {
    this.#runs.set(progress.runId, progress.nodes);
    for (const nodeId of progress.nodes) {
      this.#render(nodeId, (role) => {
        if (role === 'source') return sourceProgress(progress, nodeId, this.#text);
        if (role === 'destination') return destinationProgress(progress, nodeId, this.#text);
        return TRANSFORM_PROGRESS;
      });
    }
  }

  #finished(result: RunResult): void {
    const outcomes = new Map(result.destinations.map((outcome) => [outcome.node, outcome]));
    for (const nodeId of this.#runs.get(result.runId) ?? outcomes.keys()) {
      const shown = this.#nodes.get(nodeId);
      if (shown === undefined) continue;
      const outcome = outcomes.get(nodeId);
      if (outcome !== undefined) shown.latest = destinationResult(outcome, result, this.#text);
      else if (shown.role === 'source') shown.latest = sourceResult(result, nodeId, this.#text);
      else shown.latest = {};
      this.#flush(nodeId, shown);
    }
    this.#runs.delete(result.runId);
    this.#waiting.delete(result.runId);
  }

  #render(nodeId: string, render: (role: NodeRole) => NodeStatus): void {
    const shown = this.#nodes.get(nodeId);
    if (shown === undefined) return;
    shown.latest = render(shown.role);
    const wait = shown.sentAt + UPDATE_EVERY_MS - performance.now();
    if (wait <= 0) this.#flush(nodeId, shown);
    else shown.timer ??= setTimeout(() => this.#flush(nodeId, shown), wait).unref();
  }

  #flush(nodeId: string, shown: Shown): void {
    clearTimeout(shown.timer);
    shown.timer = undefined;
    shown.sentAt = performance.now();
    if (shown.latest !== undefined) this.#send(nodeId, shown.latest);
  }
}
