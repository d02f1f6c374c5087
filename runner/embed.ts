import { randomBytes } from 'node:crypto';
import type { EventEmitter } from 'node:events';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { systemClock } from '../lib/clock.ts';
import { BackupError } from '../lib/errors.ts';
import { runTracker } from '../nodes/run-tracker.ts';
import type { RunTracker } from '../nodes/run-tracker-port.ts';
import { type BackupRuntime, existingRuntime, useClock } from '../nodes/runtime.ts';
import { Cleanup } from './cleanup.ts';
import { encryptCredentials, readCredentials } from './credentials.ts';
import { describeEntry, type ExpectedNode, expectedNodes } from './expected-nodes.ts';
import { type GatedServer, listen, type RequestHandler } from './http-server.ts';
import { FlowLog } from './log.ts';
import { memoryStorage } from './memory-storage.ts';
import { loadNodeRed, type NodeRed, type RuntimeModule } from './node-red.ts';
import { findNodeSets, nodeTypesOf } from './node-sets.ts';
import { handleOperation } from './operations-handler.ts';
import { handleRuns } from './runs-handler.ts';
import type { EmbeddedRuntime, FlowEntry, RuntimeOptions } from './runtime.ts';
import { catchUncaught } from './uncaught.ts';

const START_TIMEOUT_MS = 60_000;
const LOADING_PATIENCE_MS = 2_000;
const FAREWELL_MS = 3_000;

/**
 * Starts Node-RED without its editor, with only the node sets that the flow needs, and waits until the flow
 * runs. Node-RED keeps its state in module variables: a process can hold one runtime at a time.
 * @throws BackupError `invalid-config` for unknown node types, nodes that do not start and missing
 *   environment variables of credentials; `wrong-key` for a wrong credential secret; `unavailable` when
 *   Node-RED is missing, the port is taken, or the flow does not start in time
 */
export async function startRuntime(options: RuntimeOptions): Promise<EmbeddedRuntime> {
  const userDir = path.resolve(options.userDir);
  const packageDir = options.packageDir ?? ownPackageDir();
  const expected = expectedNodes(options.flows);
  const credentials = readCredentials(options.credentials, options.flows, process.env);
  const nodeRed = loadNodeRed(userDir);
  const includes = neededSets(options.flows, { coreNodesDir: nodeRed.coreNodesDir, packageDir, userDir });
  const secret = randomBytes(32).toString('hex');
  const log = new FlowLog(options.logger, options.debug ?? false, userDir);
  const settings = {
    ...options.settings,
    ...headlessSettings(nodeRed.coreNodesDir, userDir, packageDir, includes),
    credentialSecret: secret,
    httpNodeRoot: options.http?.root ?? '/',
    storageModule: memoryStorage(options.flows, encryptCredentials(credentials, secret)),
    logging: { dbackup: log.setting },
  };
  const embedded = new Embedded(nodeRed, options, log);
  try {
    await embedded.start(settings, expected);
    return embedded;
  } catch (error) {
    await embedded.stop();
    throw error;
  }
}

class Embedded implements EmbeddedRuntime {
  readonly #nodeRed: NodeRed;
  readonly #options: RuntimeOptions;
  readonly #log: FlowLog;
  readonly #timeoutMs: number;
  readonly #cleanup = new Cleanup();
  #tracker: RunTracker | undefined;
  #gate: GatedServer | undefined;
  #started = false;
  #stopping: Promise<void> | undefined;

  constructor(nodeRed: NodeRed, options: RuntimeOptions, log: FlowLog) {
    this.#nodeRed = nodeRed;
    this.#options = options;
    this.#log = log;
    this.#timeoutMs = options.startTimeoutMs ?? START_TIMEOUT_MS;
  }

  get tracker(): RunTracker {
    if (this.#tracker === undefined) throw new BackupError('internal', 'The runtime has not been started');
    return this.#tracker;
  }

  get events(): EventEmitter {
    return this.#nodeRed.runtime.events;
  }

  get url(): string | undefined {
    return this.#gate?.url;
  }

  async start(settings: { readonly httpNodeRoot: string }, expected: readonly ExpectedNode[]): Promise<void> {
    const { runtime, util } = this.#nodeRed;
    const { http, onUncaught, logger, countMessages, clock } = this.#options;
    if (onUncaught !== undefined) this.#cleanup.add(catchUncaught(onUncaught, logger));
    if (http !== undefined) {
      const gate = await listen(http.host ?? '127.0.0.1', http.port, (request, response) => {
        const backup = existingRuntime(this);
        const started = this.#started && this.#stopping === undefined;
        return (
          handleOperation(request, response, { started, operations: backup?.operations }) ||
          handleRuns(request, response, { token: http.apiToken, backup })
        );
      });
      this.#gate = gate;
      this.#cleanup.add(() => gate.close());
    }
    util.init(settings);
    runtime.init(settings, this.#gate?.server ?? null);
    useClock(runtime, clock ?? systemClock);
    const tracker = runTracker({
      hooks: runtime.hooks,
      events: runtime.events,
      log: util.log,
      nodes: runtime._.nodes,
    });
    this.#tracker = tracker;
    this.#cleanup.add(() => tracker.dispose());
    if (countMessages === true) tracker.countAll();
    await flowsStarted(runtime, this.#timeoutMs, () => {
      const loaded = runtime.start();
      this.#cleanup.add(() => stopLoaded(runtime, loaded));
      return loaded;
    });
    assertAllRun(runtime, expected, this.#log);
    this.#started = true;
    this.#gate?.open(this.#httpNodes(settings.httpNodeRoot));
  }

  fire(nodeId: string, message: Record<string, unknown> = {}): void {
    const node = this.#nodeRed.runtime._.nodes.getNode(nodeId);
    if (!node) throw new BackupError('not-found', `No node with the id ${nodeId} runs in this flow`);
    node.receive(message);
  }

  async deploy(flows: readonly FlowEntry[], type: 'full' | 'flows' | 'nodes'): Promise<void> {
    const { runtime } = this.#nodeRed;
    const expected = expectedNodes(flows);
    await flowsStarted(runtime, this.#timeoutMs, () =>
      runtime.flows.setFlows({ flows: { flows }, deploymentType: type }),
    );
    assertAllRun(runtime, expected, this.#log);
  }

  stop(reason = 'the runner ends', until?: AbortSignal): Promise<void> {
    this.#stopping ??= this.#stop(reason, until);
    return this.#stopping;
  }

  async #stop(reason: string, until?: AbortSignal): Promise<void> {
    const backup = existingRuntime(this);
    try {
      if (backup !== undefined) await this.#endRuns(backup, reason, until);
    } finally {
      await this.#cleanup.run();
    }
  }

  /** Nodes behind a backup that has ended get a moment to tell people of it. */
  async #endRuns(backup: BackupRuntime, reason: string, until?: AbortSignal): Promise<void> {
    const ended = backup.engine.activeRuns().length > 0;
    this.#tracker?.countAll();
    await backup.shutdown(reason, until);
    if (ended) await within(FAREWELL_MS, this.#tracker?.idle());
  }

  #httpNodes(root: string): RequestHandler {
    const app = this.#nodeRed.express();
    app.use(root, this.#nodeRed.runtime.httpNode);
    return app;
  }
}

/** Node-RED cannot be stopped while it still loads node sets; it gets a moment to come to an end of that. */
async function stopLoaded(runtime: RuntimeModule, loaded: Promise<void>): Promise<void> {
  await within(LOADING_PATIENCE_MS, loaded);
  await runtime.stop();
}

/** Waits until it settles, but not longer than that. */
async function within(ms: number, work: Promise<unknown> | undefined): Promise<void> {
  const patience = new AbortController();
  await Promise.race([work, wait(ms, undefined, { signal: patience.signal })]).catch(() => undefined);
  patience.abort();
}

/** Settings that the headless runtime depends on; they win over what the user set. */
function headlessSettings(
  coreNodesDir: string,
  userDir: string,
  packageDir: string,
  includes: readonly string[],
) {
  return {
    userDir,
    coreNodesDir,
    nodesDir: [packageDir],
    nodesIncludes: includes,
    httpAdminRoot: false,
    disableEditor: true,
    telemetry: { enabled: false },
    // Nothing is installed while a backup runs; without this, start-up asks npm for its version.
    externalModules: {
      autoInstall: false,
      palette: { allowInstall: false },
      modules: { allowInstall: false },
    },
  };
}

function neededSets(
  flows: readonly FlowEntry[],
  places: Parameters<typeof findNodeSets>[1],
): readonly string[] {
  const { includes, unknownTypes } = findNodeSets(nodeTypesOf(flows), places);
  if (unknownTypes.length === 0) return includes;
  throw new BackupError(
    'invalid-config',
    `The flow uses node types that are not installed: ${unknownTypes.join(', ')}. Install their packages in ${places.userDir}`,
  );
}

/** Runs the action and resolves when Node-RED reports that the flow has started after it. */
async function flowsStarted(
  runtime: RuntimeModule,
  timeoutMs: number,
  action: () => Promise<unknown>,
): Promise<void> {
  const { events } = runtime;
  const outcome = Promise.withResolvers<void>();
  const started = (): void => outcome.resolve();
  const told = (event: RuntimeEvent): void => {
    const problem = problemOf(event);
    if (problem !== undefined) outcome.reject(problem);
  };
  const timer = setTimeout(
    () =>
      outcome.reject(new BackupError('unavailable', `The flow has not started within ${timeoutMs / 1000} s`)),
    timeoutMs,
  );
  events.on('flows:started', started);
  events.on('runtime-event', told);
  try {
    await Promise.all([action(), outcome.promise]);
  } finally {
    clearTimeout(timer);
    events.removeListener('flows:started', started);
    events.removeListener('runtime-event', told);
  }
}

interface RuntimeEvent {
  readonly id: string;
  readonly payload?: {
    readonly error?: string;
    readonly types?: readonly string[];
    readonly modules?: readonly { readonly module: string }[];
  };
}

/** Why the flow will not start, when a runtime event says so. */
function problemOf({ id, payload }: RuntimeEvent): BackupError | undefined {
  if (id !== 'runtime-state' || payload?.error === undefined) return undefined;
  const { error, types = [], modules = [] } = payload;
  if (error === 'missing-types') {
    return new BackupError('invalid-config', `Node types are missing: ${types.join(', ')}`);
  }
  if (error === 'missing-modules') {
    const names = modules.map((missing) => missing.module).join(', ');
    return new BackupError(
      'invalid-config',
      `Function nodes of the flow need npm modules that are not installed: ${names}`,
    );
  }
  return new BackupError('invalid-config', `Node-RED does not start the flow: ${error}`);
}

/** A node whose constructor throws is logged by Node-RED and left out; here that is an error. */
function assertAllRun(runtime: RuntimeModule, expected: readonly ExpectedNode[], log: FlowLog): void {
  const missing = expected.filter(({ id }) => !runtime._.nodes.getNode(id));
  if (missing.length === 0) return;
  const reasons = missing.map(({ id, entry }) => {
    const reason = log.errorOf(id);
    return reason === undefined ? describeEntry(entry) : `${describeEntry(entry)}: ${reason}`;
  });
  throw new BackupError('invalid-config', `Nodes of the flow did not start: ${reasons.join('; ')}`);
}

/** The folder with package.json above this file, compiled or not. */
function ownPackageDir(): string {
  for (let dir = import.meta.dirname; path.dirname(dir) !== dir; dir = path.dirname(dir)) {
    if (existsSync(path.join(dir, 'package.json'))) return dir;
  }
  throw new BackupError(
    'internal',
    `No package.json above ${import.meta.dirname}: @dbackup/node-red is not installed completely`,
  );
}
