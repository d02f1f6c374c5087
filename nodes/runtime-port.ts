import type { NodeAPI } from 'node-red';
import type { Clock } from '../lib/clock.ts';
import type { BackupEngine } from '../lib/engine/backup-engine.ts';
import type { BackupEvents } from '../lib/events/event-bus.ts';
import type { QueueLimits } from '../lib/queue/limits.ts';
import type { JobBook } from '../lib/runs/job-book.ts';
import type { StartupSweep } from '../lib/runs/startup-sweep.ts';
import type { Store } from '../lib/store/store.ts';
import type { DeployWindow } from './deploy-window.ts';
import type { JobsBehind } from './jobs-behind.ts';
import type { LaunchedFlows } from './launched-flows.ts';
import type { Operations } from './operations/operations.ts';
import type { WatchedNodes } from './operations/watched-nodes.ts';
import type { PackageSettings } from './package-settings.ts';
import type { RunReports } from './run-reports.ts';
import type { TrackedRuntime } from './run-tracker.ts';
import type { RunTracker } from './run-tracker-port.ts';
import type { RuntimeStore } from './runtime-store.ts';
import type { SharedQueue } from './shared-queue.ts';
import type { StatusBoard } from './status/status-board.ts';
import type { Telling } from './telling.ts';
import type { VerificationHistory } from './verification-history.ts';

/**
 * What all backup nodes of one Node-RED share. It outlives every deploy: runs belong to the engine, not
 * to the nodes that began them.
 */
export interface BackupRuntime {
  readonly engine: BackupEngine;
  readonly tracker: RunTracker;
  /** What nodes have begun by themselves, and whether it still goes on. */
  readonly launches: LaunchedFlows;
  readonly clock: Clock;
  /** What happens to backups, for those who tell people and programs of it. */
  readonly happenings: BackupEvents;
  /** Who is told of them: nodes, HTTP clients, editors. */
  readonly telling: Telling;
  readonly board: StatusBoard;
  /** Results that come while a deploy replaces nodes wait here for the new ones. */
  readonly deploys: DeployWindow;
  readonly reports: RunReports;
  /** Removes what killed runs have left in the storages of the flow. */
  readonly startupSweep: StartupSweep;
  /** The backup nodes that run now. */
  readonly watched: WatchedNodes;
  /** How jobs do, and which of them may run by themselves. */
  readonly jobs: JobBook;
  /** Which backups a node starts. */
  readonly jobsBehind: JobsBehind;
  /** Health and metrics. */
  readonly operations: Operations;
  /** Folder of the history and the key vault. */
  readonly dataDir: string;
  readonly settings: PackageSettings;
  /** How many runs may go on at a time. */
  readonly limits: QueueLimits;
  /** Aborted when Node-RED is about to end: nothing new begins from then on. */
  readonly ending: AbortSignal;
  /** Aborted when Node-RED ends: restores, verifications and copies hang on it. */
  readonly closing: AbortSignal;
  /** The queue of schedules, when processes share them; they do when they share a history in PostgreSQL. */
  readonly sharedQueue: SharedQueue | undefined;
  /** What verifications found, for the history. */
  readonly verifications: VerificationHistory;
  /** The history: where it is, and what happens in it. */
  readonly history: RuntimeStore;
  /** The same, opened at the first use. */
  store(): Promise<Store>;
  /**
   * Cancels what runs, waits until it is cleaned up, and forgets the runtime. Safe to call twice.
   * @param until what runs may come to its end until this aborts; without it, it is cancelled at once
   */
  shutdown(reason: string, until?: AbortSignal): Promise<void>;
}

/** The part of `RED` that identifies a Node-RED and its package settings. */
export type RuntimeApi = Pick<NodeAPI, 'events' | 'log' | 'nodes' | 'settings' | '_'> &
  Pick<TrackedRuntime, 'hooks'> & { readonly comms?: Pick<NodeAPI['comms'], 'publish'> };
