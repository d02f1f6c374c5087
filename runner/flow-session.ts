import { Console } from 'node:console';
import { DEFAULT_LIMITS } from '../lib/engine/retries.ts';
import { toBackupError } from '../lib/errors.ts';
import type { FlowNode } from '../lib/plan/flow-file.ts';
import {
  failuresUntilDeadLetter,
  leastFreeBytes,
  type PackageSettings,
  sweepGraceMs,
} from '../nodes/package-settings.ts';
import { queueLimits } from '../nodes/queue-settings.ts';
import { type BackupRuntime, existingRuntime } from '../nodes/runtime.ts';
import { storeSettings } from '../nodes/store-settings.ts';
import { parseDuration } from './duration.ts';
import { startRuntime } from './embed.ts';
import { EXIT, type ExitCode, startExitCodeOf } from './exit-codes.ts';
import { dataDirectory, type FlowInput, type FlowOptions, readFlow, userDirectory } from './flow-input.ts';
import { validateFlow } from './flow-validation.ts';
import { loadNodeRed } from './node-red.ts';
import { NodeReports } from './node-reports.ts';
import type { RunReport } from './report/run-report.ts';
import type { EmbeddedRuntime, LogLine } from './runtime.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/** How a flow is run, for people. */
export interface PaceOptions {
  /** How long a node may hold a message of a run that has not begun: `2m`; 30 s without it. */
  readonly planning?: string;
  /** How often a destination that fails is tried, and a database dumped, as far as the default allows more. */
  readonly attempts?: number;
  /** How many runs may go on at a time; 2 without it. */
  readonly concurrency?: number;
}

export interface SessionOptions extends FlowOptions, PaceOptions {
  readonly flow: string;
  /** Serve HTTP In nodes there. */
  readonly http?: {
    readonly host: string;
    readonly port: number;
    /** Who knows it is told of runs there. */
    readonly apiToken: string | undefined;
  };
  /** Watch every message and error, so that the end of the whole flow and its outcome are known. */
  readonly once?: boolean;
  /** What is run of the flow. */
  readonly prepare?: (flow: FlowInput) => readonly FlowNode[];
}

/** A flow that runs in this process. */
export interface FlowSession {
  readonly runtime: EmbeddedRuntime;
  /** Undefined when the flow has no backup node. */
  readonly backup: BackupRuntime | undefined;
  /** What nodes have reported so far, in a flow that runs once. */
  readonly reports: NodeReports;
  /**
   * Cancels what runs, waits until it is cleaned up, and stops Node-RED.
   * @param until what runs may come to its end until this aborts; without it, it is cancelled at once
   */
  close(reason: string, until?: AbortSignal): Promise<void>;
}

/**
 * Validates a flow and starts it. What keeps it from starting is reported.
 * @returns the exit code when it does not start
 */
export async function openSession(
  options: SessionOptions,
  report: RunReport,
  env: Environment,
): Promise<FlowSession | ExitCode> {
  let valid = false;
  try {
    const settings = packageSettingsOf(options, env);
    const flow = await readFlow(options.flow, options, env);
    valid = await isValid(flow, options, report, env);
    if (!valid) return EXIT.usage;
    const nodes = options.prepare?.(flow) ?? flow.nodes;
    return await start(flow, nodes, { ...options, settings }, report, env);
  } catch (thrown) {
    const error = toBackupError(thrown);
    report.failed(error);
    // A file that cannot be read is a wrong argument; after the check only the host can be the reason.
    return valid ? startExitCodeOf(error) : EXIT.usage;
  }
}

async function isValid(
  flow: FlowInput,
  options: SessionOptions,
  report: RunReport,
  env: Environment,
): Promise<boolean> {
  const problems = await validateFlow(flow, { userDir: userDirectory(options), env });
  report.problems(problems);
  return problems.every(({ severity }) => severity !== 'error');
}

async function start(
  flow: FlowInput,
  nodes: readonly FlowNode[],
  options: SessionOptions & { readonly settings: PackageSettings },
  report: RunReport,
  env: Environment,
): Promise<FlowSession> {
  const userDir = userDirectory(options);
  // Node-RED and third-party nodes print as they like; stdout is for answers.
  globalThis.console = new Console(process.stderr);
  // The nodes read it from the environment, where it comes before settings.
  process.env.DBACKUP_DATA = dataDirectory(options, env);
  Object.assign(process.env, storeEnvironment(options));
  if (options.concurrency !== undefined) process.env.DBACKUP_CONCURRENCY = `${options.concurrency}`;
  const once = options.once ?? false;
  const reports = new NodeReports();
  const logger = (line: LogLine) => {
    if (once) reports.logged(line);
    report.log(line);
  };
  const runtime = await startRuntime({
    flows: nodes,
    userDir,
    // What is fired by hand runs once.
    settings: { dbackup: { ...options.settings, schedules: !once } },
    logger,
    countMessages: once,
    // It was logged; a third-party node's slip must not end a backup.
    onUncaught: () => undefined,
    ...(flow.credentials === undefined ? {} : { credentials: flow.credentials }),
    ...(options.http === undefined ? {} : { http: options.http }),
  });
  const backup = existingRuntime(runtime);
  if (backup !== undefined) await prepareBackups(backup, runtime, report);
  const stopListening = once ? reports.listen(loadNodeRed(userDir)) : undefined;
  return {
    runtime,
    backup,
    reports,
    async close(reason, until) {
      await runtime.stop(reason, until);
      stopListening?.();
    },
  };
}

/**
 * What settings.js says to nodes in the editor. What they take from the environment is looked at as well: a wrong
 * value shall end the start.
 * @throws BackupError `invalid-config`
 */
function packageSettingsOf(
  options: PaceOptions & Pick<FlowOptions, 'store'>,
  env: Environment,
): PackageSettings {
  const { planning, attempts, concurrency } = options;
  sweepGraceMs({}, env);
  leastFreeBytes({}, env);
  queueLimits({}, env);
  storeSettings('', {}, { ...env, ...storeEnvironment(options) });
  failuresUntilDeadLetter({}, env);
  const databaseAttempts = Math.min(attempts ?? 1, DEFAULT_LIMITS.databaseAttempts);
  return {
    ...(planning === undefined ? {} : { planningSeconds: parseDuration(planning) / 1000 }),
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(attempts === undefined ? {} : { destinationAttempts: attempts, databaseAttempts }),
  };
}

/** The store that an option names, as nodes find it. */
function storeEnvironment({ store }: Pick<FlowOptions, 'store'>): Record<string, string> {
  return store === undefined ? {} : { DBACKUP_STORE: store, DBACKUP_STORE_FILE: '' };
}

/** A history that cannot be written would keep every run from starting: better to know it now. */
async function prepareBackups(
  backup: BackupRuntime,
  runtime: EmbeddedRuntime,
  report: RunReport,
): Promise<void> {
  report.follow(backup.engine.events);
  try {
    await backup.store();
  } catch (thrown) {
    await runtime.stop('The history cannot be opened');
    throw thrown;
  }
}
