/** A node as far as the tracker looks at it. */
export interface TrackedNode {
  readonly id: string;
  readonly type: string;
  readonly name?: string | undefined;
}

/** A message that is somewhere in the flow now. */
export interface HeldMessage {
  readonly node: TrackedNode;
  /** On its way to the node, or being handled by it. */
  readonly place: 'transit' | 'node';
  readonly runId?: string;
  /** A destination that has joined its run holds the message until the commit. */
  readonly joined: boolean;
  /** Milliseconds since the message came to that place. */
  readonly heldMs: number;
}

export interface FollowOptions {
  /**
   * Called exactly once, when every message of the run has joined a destination or ended; that is when
   * `PlanningRun.seal()` is due. What it throws is logged.
   */
  readonly seal: () => void;
  /**
   * How long a node may hold a message of the planning run without anything of the run moving; then the
   * message counts as lost. Messages in Node-RED's own delay nodes are waited for in any case.
   * Default 30 000 ms.
   */
  readonly deadlineMs?: number;
}

/**
 * What descends from one message: every message that bears its `_msgid`, which Node-RED and its nodes hand on, and the
 * runs that sources have opened with them.
 */
export interface MessageTrace {
  readonly runs: ReadonlySet<string>;
  /** Where its messages are now. */
  held(): HeldMessage[];
}

/**
 * Knows exactly when every message of a run has joined a destination or ended, by counting the messages that
 * Node-RED delivers, without a timer.
 *
 * How nodes use it: a source that opens a run calls `follow` while it handles the message that started it,
 * before it sends anything; a destination calls `joined` in the same turn as `PlanningRun.join`. Messages that
 * carry `msg.backup.runId` are counted by themselves. A node must call `done` for each message.
 */
export interface RunTracker {
  /** From now on this message, in this node, and all that descends from it belong to the run. */
  follow(runId: string, node: TrackedNode, msg: object, options: FollowOptions): void;
  /** The destination has joined: its message does not hold up the run any more. */
  joined(runId: string, node: TrackedNode, msg: object): void;
  /**
   * Follows what descends from the message with this `_msgid`, which is about to be sent. `ended` is called once, when
   * none of its messages is on its way or inside a node any more; a run that it opened may then still go on, when a
   * deploy has replaced the nodes that waited for it.
   */
  trace(messageId: string, ended: () => void): MessageTrace;
  /** Counts every message of the runtime from now on, not only those of runs. */
  countAll(): void;
  /** Resolves when no counted message is on its way or inside a node; at once when that is so already. */
  idle(): Promise<void>;
  /** Where the counted messages are now, for diagnostics. */
  activity(): HeldMessage[];
  /** Takes the hooks out of the runtime and forgets all runs, without sealing them. */
  dispose(): void;
}
