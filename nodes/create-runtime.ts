import { tmpdir } from 'node:os';
import type { NodeStatus } from 'node-red';
import type { Clock } from '../lib/clock.ts';
import { BackupEngine } from '../lib/engine/backup-engine.ts';
import { BackupError, throwIfAborted, toBackupError } from '../lib/errors.ts';
import { BackupEvents } from '../lib/events/event-bus.ts';
import { requireRoom } from '../lib/health/data-folder.ts';
import { knowEnvironmentSecrets } from '../lib/logs/redact.ts';
import { RunLog } from '../lib/logs/run-log.ts';
import { sweepPrivateFolders } from '../lib/private-folders.ts';
import { SharedServers } from '../lib/queue/shared-servers.ts';
import { CancelWatch } from '../lib/runs/cancel-watch.ts';
import { JobBook } from '../lib/runs/job-book.ts';
import type { JobChange } from '../lib/runs/jobs.ts';
import { recordStages } from '../lib/runs/stage-record.ts';
import { StartupSweep } from '../lib/runs/startup-sweep.ts';
import { DeployWindow } from './deploy-window.ts';
import { drainRuns } from './drain-runs.ts';
import { endWithProcess } from './end-with-process.ts';
import { JobsBehind } from './jobs-behind.ts';
import { LaunchedFlows } from './launched-flows.ts';
import { Operations } from './operations/operations.ts';
import { WatchedNodes } from './operations/watched-nodes.ts';
import { retryLimits } from './package-settings.ts';
import { RunReports } from './run-reports.ts';
import { runTracker } from './run-tracker.ts';
import type { RunTracker } from './run-tracker-port.ts';
import type { BackupRuntime, RuntimeApi } from './runtime-port.ts';
import { type RuntimeSettings, runtimeSettings } from './runtime-settings.ts';
import { RuntimeStore } from './runtime-store.ts';
import { SharedQueue } from './shared-queue.ts';
import { JobStatus } from './status/job-status.ts';
import { StatusBoard } from './status/status-board.ts';
import type { Translate } from './status/status-text.ts';
import { Telling } from './telling.ts';
import { VerificationHistory } from './verification-history.ts';

/** What all parts of a runtime know. */
interface Ground {
  readonly RED: RuntimeApi;
  readonly clock: Clock;
  readonly settings: RuntimeSettings;
  readonly watched: WatchedNodes;
  readonly ending: AbortSignal;
  readonly closing: AbortSignal;
  readonly warn: (message: string) => void;
}

/**
 * Makes the runtime of a Node-RED.
 * @param forget called when it has begun to end
 * @throws BackupError `invalid-config` for wrong settings
 */
export function createRuntime(RED: RuntimeApi, clock: Clock, forget: () => void): BackupRuntime {
  const ending = new AbortController();
  const closing = new AbortController();
  const ground: Ground = {
    RED,
    clock,
    settings: runtimeSettings(RED.settings, process.env),
    watched: new WatchedNodes(),
    ending: ending.signal,
    closing: closing.signal,
    warn: (message) => RED.log.warn(`[dbackup] ${message}`),
  };
  knowEnvironmentSecrets(process.env);
  sweepSecrets(ground);
  const records = keepRecords(ground);
  const runs = manageRuns(ground, records, (change) => {
    shown.reports.deadLettered(change, ground.watched.sourcesOfJob(change.job));
  });
  const shown = showRuns(ground, runs);
  const flow = followFlow(ground, runs);
  const told = tellEvents(ground, records, runs, flow);
  const operations = operate(ground, records, runs, told);
  const startupSweep = sweepStorages(ground, records, runs, shown);
  const begin = () => {
    startupSweep.begin();
    told.telling.begin();
  };
  RED.events.on('flows:started', begin);

  let ended: Promise<void> | undefined;
  const shutdown = (reason: string, until?: AbortSignal) => (ended ??= end(reason, until));
  const { embedded, shutdown: plan } = ground.settings;
  const release = embedded ? () => undefined : endWithProcess(plan, runs.engine, shutdown, RED.log);
  const end = async (reason: string, until?: AbortSignal) => {
    const { engine } = runs;
    const { telling } = told;
    ending.abort(new BackupError('aborted', reason));
    if (until !== undefined) {
      await drainRuns({ engine, tracker: flow.tracker, told: () => telling.idle() }, reason, until);
    }
    forget();
    RED.events.removeListener('flows:started', begin);
    closing.abort(new BackupError('aborted', reason));
    await Promise.all([engine.shutdown(reason), startupSweep.idle()]);
    await telling.idle();
    telling.dispose();
    runs.cancelWatch.close();
    operations.dispose();
    shown.board.close();
    shown.jobStatus.dispose();
    flow.jobsBehind.dispose();
    flow.deploys.dispose();
    await records.sharedQueue?.close();
    await records.sharedServers?.close();
    await runs.verifications.idle();
    await records.history.close();
    release();
  };
  const { clock: _clock, RED: _red, warn: _warn, settings, ...signals } = ground;
  return {
    ...signals,
    ...flow,
    ...told,
    clock,
    engine: runs.engine,
    jobs: runs.jobs,
    verifications: runs.verifications,
    board: shown.board,
    reports: shown.reports,
    startupSweep,
    operations,
    dataDir: settings.dataDir,
    settings: settings.own,
    limits: settings.limits,
    history: records.history,
    sharedQueue: records.sharedQueue,
    store: () => records.history.open(),
    shutdown,
  };
}

/** Passwords of servers may lie in temporary folders, for this user only. */
function sweepSecrets({ warn }: Ground): void {
  sweepPrivateFolders(tmpdir()).catch((error: unknown) => warn(toBackupError(error).message));
}

type Records = ReturnType<typeof keepRecords>;

/** The history, and what processes share that keep one together. */
function keepRecords({ RED, clock, settings, closing, warn }: Ground) {
  const { place, leaseMs } = settings.store;
  const shared = place.kind === 'postgresql' ? place : undefined;
  return {
    history: new RuntimeStore(settings.store, RED.log, clock),
    sharedQueue: shared && new SharedQueue(shared, leaseMs, closing, RED.log),
    sharedServers: shared && new SharedServers(shared, settings.limits.perServer, warn),
  };
}

type Runs = ReturnType<typeof manageRuns>;

/** The engine, and those who write down what it does. */
function manageRuns(
  { clock, settings, warn }: Ground,
  { history, sharedServers }: Records,
  deadLettered: (change: JobChange) => void,
) {
  const store = () => history.open();
  const { deadLetterAfter, limits } = settings;
  const runLog = new RunLog({ clock, warn, write: async (lines) => (await store()).writeLog(lines) });
  const jobs = new JobBook({ clock, deadLetterAfter, store, deadLettered });
  const engine = new BackupEngine({
    journal: jobs.journal(runLog.journal(history.journal)),
    retries: retryLimits(settings.own),
    sharedLimits: sharedServers,
    limits,
    clock,
  });
  recordStages(engine.events, (runId, text) => history.stage(runId, text), clock);
  runLog.follow(engine.events);
  const verifications = new VerificationHistory({ events: engine.events, clock, store, warn });
  jobs.follow(engine);
  const cancelWatch = new CancelWatch({
    engine,
    clock,
    requested: async (runIds) => (await store()).cancellations.requested(runIds),
  });
  return { engine, jobs, verifications, cancelWatch };
}

type Shown = ReturnType<typeof showRuns>;

/** What is to be seen of runs at the nodes and in the log. */
function showRuns({ RED, settings, watched }: Ground, { engine, jobs }: Runs) {
  const text: Translate = (key, values) => RED._(key, { ...values });
  const show = (nodeId: string, status: NodeStatus) => RED.nodes.getNode(nodeId)?.status(status);
  const board = new StatusBoard(engine.events, show, text);
  const { schedules } = settings;
  const { events } = engine;
  const jobStatus = new JobStatus({ flows: RED.events, events, jobs, watched, board, text, schedules });
  return { board, jobStatus, reports: new RunReports(events, RED) };
}

type Flow = ReturnType<typeof followFlow>;

/** The flow as it is deployed, and the messages in it. */
function followFlow({ RED, watched, warn }: Ground, { engine }: Runs) {
  const deploys = new DeployWindow(RED.events);
  const tracker: RunTracker = runTracker(RED);
  const lost = (nodes: readonly string[]) =>
    warn(
      `A schedule does not wait any longer for the message that ${nodes.join(', ')} holds: the node does not report that it is done`,
    );
  const isRunning = (node: { readonly id: string }) => RED.nodes.getNode(node.id) === node;
  const launches = new LaunchedFlows({ tracker, engine, deploys, isRunning, lost });
  const eachNode = (call: Parameters<RuntimeApi['nodes']['eachNode']>[0]) => RED.nodes.eachNode(call);
  return {
    deploys,
    tracker,
    launches,
    jobsBehind: new JobsBehind({ events: RED.events, eachNode, watched }),
  };
}

type Told = ReturnType<typeof tellEvents>;

/** What happens to backups, for those who tell people and programs of it. */
function tellEvents(
  { RED, clock, watched }: Ground,
  { history }: Records,
  { engine }: Runs,
  { deploys }: Flow,
) {
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
  return { happenings, telling };
}

/** Health and metrics. */
function operate(
  { RED, clock, settings, watched, ending, closing }: Ground,
  { history }: Records,
  { engine }: Runs,
  { happenings }: Told,
): Operations {
  // Whoever asks while it ends must not open it again.
  const store = async () => {
    throwIfAborted(closing);
    return await history.open();
  };
  const { limits, leastFreeBytes, schedules, dataDir } = settings;
  return new Operations({
    engine,
    clock,
    watched,
    events: RED.events,
    happenings,
    closing: ending,
    limits,
    leastFreeBytes,
    schedules,
    probeStore: async () => {
      await (await store()).probe();
      if (history.place.kind === 'sqlite') await requireRoom(dataDir);
    },
    lastRuns: async () => (await store()).lastRuns(),
    jobStandings: async () => (await store()).jobs.standings(),
  });
}

/** Removes what killed runs have left in the storages of the flow. */
function sweepStorages(
  { settings, closing }: Ground,
  { history }: Records,
  { engine }: Runs,
  { reports }: Shown,
): StartupSweep {
  return new StartupSweep({
    graceMs: settings.sweepGraceMs,
    fates: async (runIds) => (await history.open()).fates(runIds),
    isWriting: (runId) => engine.isWriting(runId),
    tell: (notice) => reports.tell(notice),
    signal: closing,
  });
}
