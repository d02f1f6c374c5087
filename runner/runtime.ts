import type { EventEmitter } from 'node:events';
import type { Clock } from '../lib/clock.ts';
import type { RunTracker } from '../nodes/run-tracker-port.ts';

/** One entry of an exported flow: a tab, a subflow, a group or a node. */
export interface FlowEntry {
  readonly id: string;
  readonly type: string;
  /** Tab or subflow that holds the node; absent for tabs and global config nodes. */
  readonly z?: string;
  readonly [property: string]: unknown;
}

/**
 * Secrets of the flow's nodes: either `flows_cred.json` as Node-RED wrote it with the secret that encrypted
 * it, or a plain map. A value `${NAME}` stands for the environment variable NAME, or for the content of the
 * file that NAME_FILE points to.
 */
export type FlowCredentials =
  | { readonly encrypted: unknown; readonly secret: string }
  | { readonly plain: Readonly<Record<string, Readonly<Record<string, unknown>>>> };

export type LogLevel = 'error' | 'warn' | 'info' | 'debug';

/** A line that Node-RED or a node logged. */
export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  /** The node that logged it, if one did. */
  readonly node?: { readonly id: string; readonly type: string; readonly name?: string };
}

export interface RuntimeOptions {
  /** The exported flow, as parsed from its JSON file. `${VAR}` in settings is resolved by Node-RED. */
  readonly flows: readonly FlowEntry[];
  readonly credentials?: FlowCredentials;
  /** Node-RED's user directory: relative paths, `node_modules` with third-party nodes, the data directory. */
  readonly userDir: string;
  /** Serves HTTP In nodes at this address; without it nothing listens. Port 0 takes a free one. */
  readonly http?: {
    readonly port: number;
    readonly host?: string;
    readonly root?: string;
    /** Who knows it is told of runs there; without it nobody is. */
    readonly apiToken?: string | undefined;
  };
  /** More of settings.js, for example `dbackup: {…}`. What the headless runtime depends on cannot be overridden. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Folder of the package whose node sets are loaded; default: the package this file belongs to. */
  readonly packageDir?: string;
  /** What schedules go by; the clock of this host without it. */
  readonly clock?: Clock;
  readonly logger: (line: LogLine) => void;
  /** Log also debug lines of Node-RED. */
  readonly debug?: boolean;
  /**
   * Counts every message of the runtime from its start, so that `tracker.idle()` covers the whole flow
   * (`dbackup run`). Without it only messages that belong to a run are counted.
   */
  readonly countMessages?: boolean;
  /** Called for an exception or rejection that nobody caught (a third-party node's timer); it is also logged. */
  readonly onUncaught?: (error: Error) => void;
  /** Gives up when the flows have not started by then; default 60 000. */
  readonly startTimeoutMs?: number;
}

export interface EmbeddedRuntime {
  readonly tracker: RunTracker;
  /** Node-RED's event emitter; it identifies the runtime to `existingRuntime`. */
  readonly events: EventEmitter;
  /** Where HTTP In nodes are served, when `http` was given: `http://127.0.0.1:1880`. */
  readonly url: string | undefined;
  /**
   * Hands a message to a node as if it had been wired to it; an inject node fires, a schedule node when `message` tells it to.
   * @throws BackupError `not-found` when no such node runs
   */
  fire(nodeId: string, message?: Record<string, unknown>): void;
  /** Replaces the running flow, as the editor's Deploy does; resolves when the new flow has started. */
  deploy(flows: readonly FlowEntry[], type: 'full' | 'flows' | 'nodes'): Promise<void>;
  /**
   * Cancels the backups that run and waits until they are cleaned up, then closes the flow (nodes have 15 s)
   * and the HTTP port. Safe to call twice.
   * @param until what runs may come to its end until this aborts; without it, it is cancelled at once
   */
  stop(reason?: string, until?: AbortSignal): Promise<void>;
}
