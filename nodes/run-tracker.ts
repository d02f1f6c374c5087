import { BackupError } from '../lib/errors.ts';
import { type LedgerEntry, MessageLedger } from './message-ledger.ts';
import { MessageTraces } from './message-traces.ts';
import type {
  FollowOptions,
  HeldMessage,
  MessageTrace,
  RunTracker,
  TrackedNode,
} from './run-tracker-port.ts';

/** What the tracker uses of a Node-RED runtime; each node set's `RED` object offers it. */
export interface TrackedRuntime {
  readonly hooks?: MessageHooks;
  readonly events: {
    on(event: string, listener: () => void): unknown;
    removeListener(event: string, listener: () => void): unknown;
  };
  readonly log: { warn(line: string): void; error(line: string): void };
  readonly nodes: { getNode(id: string): unknown };
}

interface MessageHooks {
  add(name: string, handler: (event: never) => void): void;
  remove(name: string): void;
}

interface SendEvent {
  readonly msg: object;
  readonly destination: { readonly node: TrackedNode };
}
type ReceiveEvent = SendEvent;
interface CompleteEvent {
  readonly msg: object;
  readonly node: { readonly node: TrackedNode };
}

interface FollowedRun {
  readonly seal: () => void;
  readonly deadlineMs: number;
  timer: NodeJS.Timeout | undefined;
}

const LABEL = 'dbackup';
const DEFAULT_DEADLINE_MS = 30_000;
/** Node types that hold messages on purpose and pass each of them on or report it, even when they are reset. */
const PATIENT_TYPES: ReadonlySet<string> = new Set(['delay']);

const TRACKERS: unique symbol = Symbol.for('@dbackup/node-red.trackers');

interface TrackerHolder {
  [TRACKERS]?: WeakMap<MessageHooks, RunTracker>;
}

/**
 * The run tracker of a runtime, made at the first call. All node sets of a runtime share one, found by the
 * hooks that they share, even when this module is loaded twice.
 * @throws BackupError `unavailable` when the runtime has no message hooks (the node test helper's has none)
 */
export function runTracker(runtime: TrackedRuntime): RunTracker {
  const { hooks } = runtime;
  if (hooks === undefined) {
    throw new BackupError('unavailable', 'This Node-RED has no message hooks: update it to 4.1 or later');
  }
  const holder = globalThis as TrackerHolder;
  holder[TRACKERS] ??= new WeakMap();
  const trackers = holder[TRACKERS];
  const known = trackers.get(hooks);
  if (known !== undefined) return known;
  const made = new HookedRunTracker(runtime, hooks, () => trackers.delete(hooks));
  trackers.set(hooks, made);
  return made;
}

class HookedRunTracker implements RunTracker {
  readonly #runtime: TrackedRuntime;
  readonly #hooks: MessageHooks;
  readonly #onDispose: () => void;
  readonly #ledger = new MessageLedger(() => performance.now());
  readonly #traces = new MessageTraces(() => performance.now());
  readonly #runs = new Map<string, FollowedRun>();
  readonly #idleWaiters: (() => void)[] = [];
  readonly #toCheck = new Set<string>();
  #check: NodeJS.Immediate | undefined;

  constructor(runtime: TrackedRuntime, hooks: MessageHooks, onDispose: () => void) {
    this.#runtime = runtime;
    this.#hooks = hooks;
    this.#onDispose = onDispose;
    hooks.add(`preDeliver.${LABEL}`, (event: SendEvent) => this.#sent(event));
    hooks.add(`onReceive.${LABEL}`, (event: ReceiveEvent) => this.#received(event));
    hooks.add(`postReceive.${LABEL}`, (event: ReceiveEvent) => this.#returned(event));
    hooks.add(`onComplete.${LABEL}`, (event: CompleteEvent) => this.#completed(event));
    runtime.events.on('flows:stopped', this.#flowsStopped);
  }

  follow(runId: string, node: TrackedNode, msg: object, options: FollowOptions): void {
    if (!this.#runs.has(runId)) {
      const { seal, deadlineMs = DEFAULT_DEADLINE_MS } = options;
      this.#runs.set(runId, { seal, deadlineMs, timer: undefined });
    }
    this.#ledger.open(runId, this.#running(node), msg);
    this.#traces.opened(runId, msg);
    this.#moved(runId);
  }

  joined(runId: string, node: TrackedNode, msg: object): void {
    this.#moved(this.#ledger.joined(runId, node, msg));
  }

  trace(messageId: string, ended: () => void): MessageTrace {
    return this.#traces.trace(messageId, ended);
  }

  countAll(): void {
    this.#ledger.countAll();
  }

  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idleWaiters.push(resolve);
      this.#scheduleCheck();
    });
  }

  activity(): HeldMessage[] {
    const now = performance.now();
    return this.#ledger.entries().map(({ node, place, joined, since, runId }) => ({
      node,
      place,
      joined,
      heldMs: now - since,
      ...(runId === undefined ? {} : { runId }),
    }));
  }

  dispose(): void {
    this.#hooks.remove(`*.${LABEL}`);
    this.#runtime.events.removeListener('flows:stopped', this.#flowsStopped);
    if (this.#check !== undefined) clearImmediate(this.#check);
    for (const run of this.#runs.values()) clearTimeout(run.timer);
    this.#runs.clear();
    this.#traces.dispose();
    for (const resolve of this.#idleWaiters.splice(0)) resolve();
    this.#onDispose();
  }

  /** The running node behind a description of it: only that one can be told from its successor. */
  #running(node: TrackedNode): TrackedNode {
    const running = this.#runtime.nodes.getNode(node.id);
    return isNode(running) ? running : node;
  }

  #sent({ msg, destination }: SendEvent): void {
    this.#traces.sent(destination.node, msg);
    this.#moved(this.#ledger.sent(destination.node, msg, runIdOf(msg)));
  }

  #received({ msg, destination }: ReceiveEvent): void {
    const { node } = destination;
    const reports = reportsDone(node);
    this.#traces.received(node, msg, reports);
    this.#moved(this.#ledger.received(node, msg, runIdOf(msg), reports));
  }

  #returned({ msg, destination }: ReceiveEvent): void {
    this.#traces.returned(destination.node, msg);
    this.#moved(this.#ledger.returned(destination.node, msg));
  }

  #completed({ msg, node }: CompleteEvent): void {
    this.#traces.completed(node.node, msg);
    this.#moved(this.#ledger.completed(node.node, msg));
  }

  /** A node that a redeploy has closed never reports what it held; one that runs on is still the node of its id. */
  readonly #flowsStopped = (): void => {
    const { nodes } = this.#runtime;
    const isGone = (node: TrackedNode) => nodes.getNode(node.id) !== node;
    for (const runId of this.#ledger.endInside(isGone)) this.#moved(runId);
    this.#traces.endInside(isGone);
    this.#scheduleCheck();
  };

  #moved(runId: string | undefined): void {
    if (runId !== undefined) {
      this.#watchDeadline(runId);
      if (this.#ledger.isDue(runId)) {
        this.#toCheck.add(runId);
        this.#scheduleCheck();
      }
    }
    if (this.#ledger.total === 0 && this.#idleWaiters.length > 0) this.#scheduleCheck();
  }

  /** One turn later, since a node may send after it has reported, and a Catch node gets its copy after that. */
  #scheduleCheck(): void {
    this.#check ??= setImmediate(() => {
      this.#check = undefined;
      const due = [...this.#toCheck].filter((runId) => this.#ledger.isDue(runId));
      this.#toCheck.clear();
      for (const runId of due) this.#seal(runId);
      if (this.#ledger.total === 0) for (const resolve of this.#idleWaiters.splice(0)) resolve();
    });
  }

  #seal(runId: string): void {
    const run = this.#runs.get(runId);
    this.#runs.delete(runId);
    clearTimeout(run?.timer);
    this.#ledger.seal(runId);
    try {
      run?.seal();
    } catch (error) {
      this.#runtime.log.error(`Backup run ${runId} could not be started: ${String(error)}`);
    }
  }

  #watchDeadline(runId: string): void {
    const run = this.#runs.get(runId);
    if (run === undefined) return;
    if (this.#ledger.openCount(runId) > 0) {
      run.timer ??= setTimeout(() => this.#deadline(runId, run), run.deadlineMs);
    } else {
      clearTimeout(run.timer);
      run.timer = undefined;
    }
  }

  #deadline(runId: string, run: FollowedRun): void {
    run.timer = undefined;
    const quietMs = performance.now() - this.#ledger.lastMoved(runId);
    const waiting = this.#ledger.openEntries(runId).some((entry) => PATIENT_TYPES.has(entry.node.type));
    if (quietMs < run.deadlineMs || waiting) {
      const restMs = waiting ? run.deadlineMs : run.deadlineMs - quietMs;
      run.timer = setTimeout(() => this.#deadline(runId, run), Math.max(1, Math.ceil(restMs)));
      return;
    }
    for (const entry of this.#ledger.giveUp(runId))
      this.#runtime.log.warn(lostMessage(runId, entry, run.deadlineMs));
    this.#moved(runId);
  }
}

function isNode(value: unknown): value is TrackedNode {
  return typeof value === 'object' && value !== null && 'id' in value && 'type' in value;
}

function runIdOf(msg: object): string | undefined {
  const backup: unknown = 'backup' in msg ? msg.backup : undefined;
  if (typeof backup !== 'object' || backup === null || !('runId' in backup)) return undefined;
  return typeof backup.runId === 'string' ? backup.runId : undefined;
}

/** How Node-RED's Node keeps its input handlers: one in `_inputCallback`, or several, counted by their arity. */
interface InputHandlers {
  readonly _inputCallback?: { readonly length: number } | null;
  readonly _expectedDoneCount?: number;
}

/** A handler that takes `done` reports the end of its work; one that takes less has ended when it returns. */
function reportsDone(node: TrackedNode & InputHandlers): boolean {
  if (node._inputCallback) return node._inputCallback.length >= 3;
  return (node._expectedDoneCount ?? 0) > 0;
}

function lostMessage(runId: string, { node }: LedgerEntry, deadlineMs: number): string {
  const name = node.name ? `"${node.name}" (${node.type}, ${node.id})` : `${node.type} ${node.id}`;
  return (
    `Backup run ${runId} goes on without the message that node ${name} has held for ${deadlineMs / 1000} s: ` +
    'the node does not report that it is done. If it is only slow, raise planningSeconds under dbackup in settings.js, or --planning of the runner.'
  );
}
