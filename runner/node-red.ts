import type { EventEmitter } from 'node:events';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { BackupError } from '../lib/errors.ts';
import type { TrackedRuntime } from '../nodes/run-tracker.ts';
import type { RequestHandler } from './http-server.ts';
import type { FlowEntry } from './runtime.ts';

/** What a log handler gets from Node-RED; `msg` is a text, an Error or anything a node logged. */
export interface NodeRedLogLine {
  readonly level: number;
  readonly msg: unknown;
  readonly id?: string;
  readonly type?: string;
  readonly name?: string;
}

export interface RunningNode {
  readonly id: string;
  receive(msg: object): void;
}

/** The part of `@node-red/runtime` that is used here. */
export interface RuntimeModule {
  init(settings: object, server: Server | null): void;
  start(): Promise<void>;
  stop(): Promise<void>;
  readonly flows: {
    setFlows(options: { flows: { flows: readonly FlowEntry[] }; deploymentType: string }): Promise<unknown>;
  };
  readonly events: EventEmitter;
  readonly hooks: NonNullable<TrackedRuntime['hooks']>;
  readonly httpNode: RequestHandler;
  readonly _: { readonly nodes: { getNode(id: string): RunningNode | null | undefined } };
}

/** The part of `@node-red/util` that is used here. */
export interface UtilModule {
  init(settings: object): void;
  readonly log: { warn(line: string): void; error(line: string): void };
}

type Express = RequestHandler & { use(root: string, handler: RequestHandler): void };

/** Node-RED's modules, without its editor. */
export interface NodeRed {
  readonly runtime: RuntimeModule;
  readonly util: UtilModule;
  readonly express: () => Express;
  /** Folder of the core nodes' `core/`, `locales/` and `examples/`. */
  readonly coreNodesDir: string;
}

/**
 * Loads Node-RED's runtime without its editor, which would cost as much time again. Looks beside this
 * package, in the user directory, and among the packages installed globally.
 * @throws BackupError `unavailable` when Node-RED is not installed
 */
export function loadNodeRed(userDir: string): NodeRed {
  const globalModules = path.resolve(process.execPath, '..', '..', 'lib', 'node_modules');
  const roots = [import.meta.filename, path.join(userDir, 'x'), path.join(globalModules, 'x')];
  for (const root of roots) {
    const main = resolveFrom(root, 'node-red');
    if (main === undefined) continue;
    const load = createRequire(main);
    const runtime: RuntimeModule = load('@node-red/runtime');
    const util: UtilModule = load('@node-red/util');
    const coreNodesDir = path.dirname(load.resolve('@node-red/nodes'));
    return { runtime, util, coreNodesDir, express: () => load('express')() };
  }
  throw new BackupError(
    'unavailable',
    'Node-RED is not installed: run "npm install node-red" beside @dbackup/node-red',
  );
}

function resolveFrom(file: string, name: string): string | undefined {
  try {
    return createRequire(file).resolve(name);
  } catch {
    return undefined;
  }
}
