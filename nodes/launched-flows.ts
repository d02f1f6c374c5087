import type { BackupEngine } from '../lib/engine/backup-engine.ts';
import type { FireLease } from '../lib/queue/lease.ts';
import type { FireReason } from '../lib/schedule/scheduler.ts';
import type { BackupMessage } from './define-node.ts';
import type { DeployWindow } from './deploy-window.ts';
import type { HeldMessage, MessageTrace, RunTracker, TrackedNode } from './run-tracker-port.ts';

/** How long a node of other people may hold a message until it counts as lost, in ms: it may be at work. */
const LOST_AFTER_MS = 6 * 3_600_000;
/** Node types that always say when they are done, however long it takes. */
const RELIABLE = /^(dbackup-|delay$)/;

export interface LaunchOptions {
  /** `manual` without it. */
  readonly reason?: FireReason;
  /** Of the fire that it comes from, where processes share a schedule: nothing may begin of one that is lost. */
  readonly lease?: FireLease | undefined;
}

interface Launch {
  /** By which its messages are known. */
  readonly messageId: string;
  readonly reason: FireReason;
  readonly lease: FireLease | undefined;
  /** None while a deploy holds the message back. */
  trace: MessageTrace | undefined;
  /** None of its messages is anywhere any more. */
  settled: boolean;
}

interface LaunchParts {
  readonly tracker: Pick<RunTracker, 'trace'>;
  readonly engine: Pick<BackupEngine, 'events' | 'isActive'>;
  readonly deploys: Pick<DeployWindow, 'afterDeploy'>;
  /** False for a node that a deploy has replaced: a message that came to it too late is with nobody. */
  readonly isRunning: (node: TrackedNode) => boolean;
  /** Tells people that messages are not waited for any longer. */
  readonly lost: (nodes: readonly string[]) => void;
}

/**
 * Knows which of the flows that nodes have launched still go on: as long as one of their messages is somewhere, or a
 * run that they have opened. It knows the nodes by their ids, so that a deploy changes nothing.
 */
export class LaunchedFlows {
  readonly #parts: LaunchParts;
  readonly #launches = new Map<string, Set<Launch>>();
  /** By their messages, which may come from a node that was not waited for any longer. */
  readonly #leases = new Map<string, FireLease>();
  readonly #listeners = new Map<string, () => void>();
  readonly #waiting = new Map<string, (() => void)[]>();

  constructor(parts: LaunchParts) {
    this.#parts = parts;
    parts.engine.events.on('finished', () => {
      for (const nodeId of this.#launches.keys()) this.#settle(nodeId);
    });
  }

  /** Sends a message, after a deploy that is going on; what comes of it counts from now on. */
  launch(
    nodeId: string,
    message: BackupMessage & { readonly _msgid: string },
    send: () => void,
    { reason = 'manual', lease }: LaunchOptions = {},
  ): void {
    const messageId = message._msgid;
    const launch: Launch = { messageId, reason, lease, trace: undefined, settled: false };
    if (lease !== undefined) this.#leases.set(messageId, lease);
    const launches = this.#launches.get(nodeId) ?? new Set();
    this.#launches.set(nodeId, launches.add(launch));
    this.#parts.deploys.afterDeploy(() => {
      launch.trace = this.#parts.tracker.trace(messageId, () => {
        launch.settled = true;
        this.#leases.delete(messageId);
        this.#settle(nodeId);
      });
      send();
    });
  }

  /** True while something that the node has launched goes on. */
  isActive(nodeId: string): boolean {
    this.#giveUpLost(nodeId);
    return this.#launches.has(nodeId);
  }

  /** Resolves when nothing that the node has launched goes on any more. */
  ended(nodeId: string): Promise<void> {
    if (!this.#launches.has(nodeId)) return Promise.resolve();
    return new Promise((resolve) => {
      this.#waiting.set(nodeId, [...(this.#waiting.get(nodeId) ?? []), resolve]);
    });
  }

  /** Runs that were opened by what the node has launched with this lease, as far as it goes on. */
  runsOf(nodeId: string, ofLease: FireLease): string[] {
    const launches = [...(this.#launches.get(nodeId) ?? [])].filter(({ lease }) => lease === ofLease);
    return launches.flatMap(({ trace }) => [...(trace?.runs ?? [])]);
  }

  /** That of the fire which the message comes from; undefined when other processes do not share it. */
  leaseOf({ _msgid: messageId }: BackupMessage): FireLease | undefined {
    return messageId === undefined ? undefined : this.#leases.get(messageId);
  }

  /** Why the message was launched that this one descends from; undefined when it descends from none. */
  reasonOf({ _msgid: messageId }: BackupMessage): FireReason | undefined {
    if (messageId === undefined) return undefined;
    for (const launches of this.#launches.values()) {
      for (const launch of launches) if (launch.messageId === messageId) return launch.reason;
    }
    return undefined;
  }

  /** Names of the nodes in which messages of it are. */
  holders(nodeId: string): string[] {
    const launches = [...(this.#launches.get(nodeId) ?? [])];
    const held = launches.flatMap(({ trace }) => trace?.held() ?? []);
    return [...new Set(held.map(nameOf))];
  }

  /** Calls when the last of it has ended. The node that bears the id now replaces the listener of the one before. */
  onEnded(nodeId: string, listener: () => void): void {
    this.#listeners.set(nodeId, listener);
  }

  /** Not that of a node that has taken the id over. */
  offEnded(nodeId: string, listener: () => void): void {
    if (this.#listeners.get(nodeId) === listener) this.#listeners.delete(nodeId);
  }

  #settle(nodeId: string): void {
    const launches = this.#launches.get(nodeId);
    if (launches === undefined) return;
    for (const launch of launches) {
      if (launch.settled && !this.#hasActiveRun(launch)) launches.delete(launch);
    }
    if (launches.size > 0) return;
    this.#launches.delete(nodeId);
    for (const resolve of this.#waiting.get(nodeId) ?? []) resolve();
    this.#waiting.delete(nodeId);
    this.#listeners.get(nodeId)?.();
  }

  #hasActiveRun({ trace }: Launch): boolean {
    return [...(trace?.runs ?? [])].some((runId) => this.#parts.engine.isActive(runId));
  }

  /** A node that never says that it is done must not keep a schedule from firing for ever. */
  #giveUpLost(nodeId: string): void {
    for (const launch of this.#launches.get(nodeId) ?? []) {
      if (launch.settled || launch.trace === undefined || this.#hasActiveRun(launch)) continue;
      const held = launch.trace.held();
      if (held.length === 0 || held.some((message) => this.#isWaitedFor(message))) continue;
      launch.settled = true;
      const lost = held.filter(({ node }) => this.#parts.isRunning(node));
      if (lost.length > 0) this.#parts.lost(lost.map(nameOf));
    }
    this.#settle(nodeId);
  }

  #isWaitedFor({ node, place, heldMs }: HeldMessage): boolean {
    if (place === 'node' && !this.#parts.isRunning(node)) return false;
    return RELIABLE.test(node.type) || heldMs < LOST_AFTER_MS;
  }
}

function nameOf({ node: { name, type, id } }: HeldMessage): string {
  return name ? `"${name}" (${type})` : `${type} ${id}`;
}
