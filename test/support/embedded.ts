import type { EventEmitter } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { startRuntime } from '../../runner/embed.ts';
import type { EmbeddedRuntime, FlowEntry, LogLine, RuntimeOptions } from '../../runner/runtime.ts';
import { EMBED_TYPES, type Notes } from './embed-nodes.ts';
import { StubEngine, TRACKER_TYPES } from './tracker-nodes.ts';

// Node-RED adds listeners at each start and never takes them away: one start per process is what it expects.
const nodeRedUtil: { events: EventEmitter } = createRequire(import.meta.url)('@node-red/util');
nodeRedUtil.events.setMaxListeners(0);

/** A running Node-RED with the nodes of tracker-nodes.ts and embed-nodes.ts, in a user directory of its own. */
export interface TestRuntime {
  readonly runtime: EmbeddedRuntime;
  readonly engine: StubEngine;
  readonly lines: LogLine[];
  readonly notes: Notes;
  readonly userDir: string;
  stop(): Promise<void>;
}

type TestOptions = Partial<RuntimeOptions> & {
  /** Fills the user directory before the start. */
  readonly prepare?: (userDir: string) => Promise<void>;
  /** Loads the real backup nodes, too. */
  readonly withBackupNodes?: boolean;
};

/** Starts Node-RED with a flow. Only one may run in a process at a time. */
export async function startTestRuntime(
  flows: readonly FlowEntry[],
  options: TestOptions = {},
): Promise<TestRuntime> {
  const userDir = await mkdtemp(path.join(tmpdir(), 'dbackup-runtime-'));
  const engine = new StubEngine();
  const lines: LogLine[] = [];
  const notes: Notes = {};
  const remove = () => rm(userDir, { recursive: true, force: true });
  try {
    const { settings, prepare, withBackupNodes = false, ...rest } = options;
    const packageDir = await testPackage(userDir, withBackupNodes);
    await prepare?.(userDir);
    const runtime = await startRuntime({
      flows,
      userDir,
      packageDir,
      logger: (line) => lines.push(line),
      countMessages: true,
      ...rest,
      settings: { testEngine: engine, testNotes: notes, ...settings },
    });
    const stop = async () => {
      await runtime.stop();
      await remove();
    };
    return { runtime, engine, lines, notes, userDir, stop };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** Where Node-RED finds the node sets of this package, as they are in the source tree. */
const PACKAGE_SETS = ['config', 'triggers', 'sources', 'transforms', 'destinations', 'restore', 'operations'];

/** A node package with the sets tracker-nodes.ts and embed-nodes.ts, and those of this package if wanted. */
async function testPackage(userDir: string, withBackupNodes: boolean): Promise<string> {
  const dir = path.join(userDir, 'runtime-test-nodes');
  await mkdir(dir);
  const support = (name: string) => path.join(import.meta.dirname, `${name}-nodes.ts`);
  const sets: NodeSetFile[] = [
    { name: 'tracker', file: support('tracker'), types: TRACKER_TYPES },
    { name: 'embed', file: support('embed'), types: EMBED_TYPES },
    ...(withBackupNodes ? await backupSets() : []),
  ];
  for (const { name, file, types } of sets) {
    const declared = types.map((type) => `// registerType('${type}')\n`).join('');
    const code = `${declared}export { default } from '${pathToFileURL(file).href}';\n`;
    await writeFile(path.join(dir, `${name}.js`), code);
  }
  const nodes = Object.fromEntries(sets.map(({ name }) => [name, `${name}.js`]));
  const manifest = { name: 'runtime-test-nodes', version: '1.0.0', type: 'module', 'node-red': { nodes } };
  await writeFile(path.join(dir, 'package.json'), JSON.stringify(manifest));
  return dir;
}

interface NodeSetFile {
  readonly name: string;
  readonly file: string;
  readonly types: readonly string[];
}

async function backupSets(): Promise<NodeSetFile[]> {
  const { allNodes } = await import('../../nodes/schemas.ts');
  return PACKAGE_SETS.map((name) => ({
    name,
    file: path.join(import.meta.dirname, `../../nodes/${name}.ts`),
    types: allNodes.filter(({ set }) => set === name).map(({ type }) => type),
  }));
}
