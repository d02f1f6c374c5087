import { tmpdir } from 'node:os';
import type { NodeAPI, NodeStatus } from 'node-red';
import { type Clock, systemClock } from '../lib/clock.ts';
import { BackupEngine } from '../lib/engine/backup-engine.ts';
import { BackupError, throwIfAborted, toBackupError } from '../lib/errors.ts';
import { BackupEvents } from '../lib/events/event-bus.ts';
import { requireRoom } from '../lib/health/data-folder.ts';
import { knowEnvironmentSecrets } from '../lib/logs/redact.ts';
import { RunLog } from '../lib/logs/run-log.ts';
import { sweepPrivateFolders } from '../lib/private-folders.ts';
import type { QueueLimits } from '../lib/queue/limits.ts';
import { SharedServers } from '../lib/queue/shared-servers.ts';
import { CancelWatch } from '../lib/runs/cancel-watch.ts';
import { JobBook } from '../lib/runs/job-book.ts';
import { describeLeft, drainSignal, type ShutdownPlan } from '../lib/runs/shutdown.ts';
import { recordStages } from '../lib/runs/stage-record.ts';
import { StartupSweep } from '../lib/runs/startup-sweep.ts';
import type { Store } from '../lib/store/store.ts';
import { DeployWindow } from './deploy-window.ts';
import { drainRuns } from './drain-runs.ts';
import { JobsBehind } from './jobs-behind.ts';
import { LaunchedFlows } from './launched-flows.ts';
import { Operations } from './operations/operations.ts';
import { WatchedNodes } from './operations/watched-nodes.ts';
import {
  dataDirectory,
  failuresUntilDeadLetter,
  leastFreeBytes,
  type PackageSettings,
  readPackageSettings,
  retryLimits,
  sweepGraceMs,
} from './package-settings.ts';
import { whenProcessEnds } from './process-end.ts';
import { queueLimits } from './queue-settings.ts';
import { RunReports } from './run-reports.ts';
import { runTracker, type TrackedRuntime } from './run-tracker.ts';
import type { RunTracker } from './run-tracker-port.ts';
import { RuntimeStore } from './runtime-store.ts';
import { SharedQueue } from './shared-queue.ts';
import { shutdownPlan } from './shutdown-settings.ts';
import { JobStatus } from './status/job-status.ts';
import { StatusBoard } from './status/status-board.ts';
import type { Translate } from './status/status-text.ts';
import { storeSettings } from './store-settings.ts';
import { Telling } from './telling.ts';
import { VerificationHistory } from './verification-history.ts';

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

const RUNTIMES: unique symbol = Symbol.for('@dbackup/node-red.runtimes');

interface RuntimeHolder {
  [RUNTIMES]?: WeakMap<object, BackupRuntime>;
}

/**
 * The runtime that belongs to this Node-RED, made at the first call. Each node set gets a `RED` of its own,
 * and a test may load two copies of this module: all of them share one runtime, found by Node-RED's events.
 */
export function backupRuntime(RED: RuntimeApi): BackupRuntime {
  const runtimes = allRuntimes();
  const known = runtimes.get(RED.events);
  if (known !== undefined) return known;
  const made = createRuntime(RED, () => runtimes.delete(RED.events));
  runtimes.set(RED.events, made);
  return made;
}

/** The same when there is one already: for those who end it. */
export function existingRuntime(RED: Pick<RuntimeApi, 'events'>): BackupRuntime | undefined {
  return allRuntimes().get(RED.events);
}

const CLOCKS: unique symbol = Symbol.for('@dbackup/node-red.clocks');

interface ClockHolder {
  [CLOCKS]?: WeakMap<object, Clock>;
}

/** Sets the clock of the runtime that will belong to this Node-RED; without it that is the clock of the host. */
export function useClock(RED: Pick<RuntimeApi, 'events'>, clock: Clock): void {
  allClocks().set(RED.events, clock);
}

function allClocks(): WeakMap<object, Clock> {
  const holder = globalThis as ClockHolder;
  holder[CLOCKS] ??= new WeakMap();
  return holder[CLOCKS];
}

function allRuntimes(): WeakMap<object, BackupRuntime> {
  const holder = globalThis as RuntimeHolder;
  holder[RUNTIMES] ??= new WeakMap();
  return holder[RUNTIMES];
}

function createRuntime(RED: RuntimeApi, forget: () => void): BackupRuntime {
  const settings = readPackageSettings((RED.settings as { dbackup?: unknown }).dbackup);
  const graceMs = sweepGraceMs(settings, process.env);
  const leastFree = leastFreeBytes(settings, process.env);
  const deadLetterAfter = failuresUntilDeadLetter(settings, process.env);
  const dataDir = dataDirectory(settings, RED.settings.userDir);
  const limits = queueLimits(settings, process.env);
  // Without its admin root, Node-RED is part of another program, which has its own ways to end.
  const embedded = (RED.settings as { httpAdminRoot?: unknown }).httpAdminRoot === false;
  const plan = shutdownPlan(settings, process.env, embedded ? 'runner' : 'node-red');
  const ending = new AbortController();
  const closing = new AbortController();
  const clock = allClocks().get(RED.events) ?? systemClock;
  const kept = storeSettings(dataDir, settings, process.env);
  const history = new RuntimeStore(kept, RED.log, clock);
  const sharedQueue =
    kept.place.kind === 'postgresql'
      ? new SharedQueue(kept.place, kept.leaseMs, closing.signal, RED.log)
      : undefined;
  const store = () => history.open();
  const sharedLimits =
    kept.place.kind === 'postgresql'
      ? new SharedServers(kept.place, limits.perServer, (text) => RED.log.warn(`[dbackup] ${text}`))
      : undefined;
  knowEnvironmentSecrets(process.env);
  const runLog = new RunLog({
    clock,
    write: async (lines) => (await store()).writeLog(lines),
    warn: (message) => RED.log.warn(`[dbackup] ${message}`),
  });
  const watched = new WatchedNodes();
  const jobs = new JobBook({
    clock,
    deadLetterAfter,
    store,
    deadLettered: (change) => reports.deadLettered(change, watched.sourcesOfJob(change.job)),
  });
  const journal = jobs.journal(runLog.journal(history.journal));
  const engine = new BackupEngine({ journal, retries: retryLimits(settings), limits, sharedLimits, clock });
  recordStages(engine.events, (runId, text) => history.stage(runId, text), clock);
  runLog.follow(engine.events);
  const verifications = new VerificationHistory({
    events: engine.events,
    clock,
    store,
    warn: (message) => RED.log.warn(`[dbackup] ${message}`),
  });
  jobs.follow(engine);
  const text: Translate = (key, values) => RED._(key, { ...values });
  const show = (nodeId: string, status: NodeStatus) => RED.nodes.getNode(nodeId)?.status(status);
  const board = new StatusBoard(engine.events, show, text);
  const reports = new RunReports(engine.events, RED);
  const deploys = new DeployWindow(RED.events);
  const tracker = runTracker(RED);
  const lost = (nodes: readonly string[]) =>
    RED.log.warn(
      `[dbackup] A schedule does not wait any longer for the message that ${nodes.join(', ')} holds: the node does not report that it is done`,
    );
  const isRunning = (node: { readonly id: string }) => RED.nodes.getNode(node.id) === node;
  const launches = new LaunchedFlows({ tracker, engine, deploys, isRunning, lost });
  const startupSweep = new StartupSweep({
    graceMs,
    fates: async (runIds) => (await store()).fates(runIds),
    isWriting: (runId) => engine.isWriting(runId),
    tell: (notice) => reports.tell(notice),
    signal: closing.signal,
  });
  const happenings = new BackupEvents(clock);
  const telling = new Telling({
    events: engine.events,
    happenings,
    clock,
    deploys,
    history,
    isWatching: () => !watched.isEmpty,
    ...(RED.comms === undefined ? {} : { comms: RED.comms }),
  });
  const jobsBehind = new JobsBehind({
    events: RED.events,
    eachNode: (call) => RED.nodes.eachNode(call),
    watched,
  });
  const jobStatus = new JobStatus({
    flows: RED.events,
    events: engine.events,
    jobs,
    watched,
    board,
    text,
    schedules: settings.schedules !== false,
  });
  // Whoever asks while it ends must not open it again.
  const storeWhileOpen = async () => {
    throwIfAborted(closing.signal);
    return await store();
  };
  const operations = new Operations({
    engine,
    clock,
    watched,
    events: RED.events,
    happenings,
    closing: ending.signal,
    limits,
    leastFreeBytes: leastFree,
    schedules: settings.schedules !== false,
    probeStore: async () => {
      await (await storeWhileOpen()).probe();
      if (history.place.kind === 'sqlite') await requireRoom(dataDir);
    },
    lastRuns: async () => (await storeWhileOpen()).lastRuns(),
    jobStandings: async () => (await storeWhileOpen()).jobs.standings(),
  });
  const flowsStarted = () => {
    startupSweep.begin();
    telling.begin();
  };
  RED.events.on('flows:started', flowsStarted);
  // Passwords of servers may lie there, for this user only.
  sweepPrivateFolders(tmpdir()).catch((error: unknown) =>
    RED.log.warn(`[dbackup] ${toBackupError(error).message}`),
  );
  const cancelWatch = new CancelWatch({
    engine,
    clock,
    requested: async (runs) => (await store()).cancellations.requested(runs),
  });
  let ended: Promise<void> | undefined;
  const shutdown = (reason: string, until?: AbortSignal) => (ended ??= end(reason, until));
  const release = embedded ? () => undefined : endWithProcess(plan, engine, shutdown, RED.log);
  const end = async (reason: string, until?: AbortSignal) => {
    ending.abort(new BackupError('aborted', reason));
    if (until !== undefined) await drainRuns({ engine, tracker, told: () => telling.idle() }, reason, until);
    forget();
    RED.events.removeListener('flows:started', flowsStarted);
    closing.abort(new BackupError('aborted', reason));
    await Promise.all([engine.shutdown(reason), startupSweep.idle()]);
    await telling.idle();
    telling.dispose();
    cancelWatch.close();
    operations.dispose();
    board.close();
    jobStatus.dispose();
    jobsBehind.dispose();
    deploys.dispose();
    await sharedQueue?.close();
    await sharedLimits?.close();
    await verifications.idle();
    await history.close();
    release();
  };
  return {
    engine,
    tracker,
    launches,
    clock,
    happenings,
    telling,
    board,
    deploys,
    reports,
    startupSweep,
    watched,
    jobs,
    jobsBehind,
    operations,
    dataDir,
    settings,
    limits,
    ending: ending.signal,
    closing: closing.signal,
    verifications,
    history,
    sharedQueue,
    store,
    shutdown,
  };
}

/** Ends with the process of Node-RED; a second request ends a drain. Returns how to stop listening. */
function endWithProcess(
  plan: ShutdownPlan,
  engine: BackupEngine,
  shutdown: BackupRuntime['shutdown'],
  log: RuntimeApi['log'],
): () => void {
  const hurry = new AbortController();
  let asked = false;
  return whenProcessEnds(() => {
    if (asked) return hurry.abort();
    asked = true;
    const reason = 'Node-RED ends';
    const late = setTimeout(
      () => log.warn(`[dbackup] ${describeLeft(engine.activeRuns())}`),
      plan.deadlineMs,
    );
    const until = plan.mode === 'drain' ? drainSignal(plan, hurry.signal) : undefined;
    shutdown(reason, until)
      .catch((error: unknown) => log.error(`[dbackup] ${toBackupError(error).message}`))
      .finally(() => clearTimeout(late));
  });
}
