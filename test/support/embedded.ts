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

/** Starts Node-RED with a flow. Only one may run in a process at a time. */
export async function startTestRuntime(
  flows: readonly FlowEntry[],
  options: Partial<RuntimeOptions> & { readonly prepare?: (userDir: string) => Promise<void> } = {},
): Promise<TestRuntime> {
  const userDir = await mkdtemp(path.join(tmpdir(), 'dbackup-runtime-'));
  const engine = new StubEngine();
  const lines: LogLine[] = [];
  const notes: Notes = {};
  const remove = () => rm(userDir, { recursive: true, force: true });
  try {
    const packageDir = await testPackage(userDir);
    const { settings, prepare, ...rest } = options;
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

/** A node package with the sets tracker-nodes.ts and embed-nodes.ts. */
async function testPackage(userDir: string): Promise<string> {
  const dir = path.join(userDir, 'runtime-test-nodes');
  await mkdir(dir);
  const sets = { tracker: TRACKER_TYPES, embed: EMBED_TYPES };
  for (const [name, types] of Object.entries(sets)) {
    const source = pathToFileURL(path.join(import.meta.dirname, `${name}-nodes.ts`)).href;
    const declared = types.map((type) => `// registerType('${type}')\n`).join('');
    await writeFile(path.join(dir, `${name}.js`), `${declared}export { default } from '${source}';\n`);
  }
  const nodes = Object.fromEntries(Object.keys(sets).map((name) => [name, `${name}.js`]));
  const manifest = { name: 'runtime-test-nodes', version: '1.0.0', type: 'module', 'node-red': { nodes } };
  await writeFile(path.join(dir, 'package.json'), JSON.stringify(manifest));
  return dir;
}
