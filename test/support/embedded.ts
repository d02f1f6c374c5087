import type { EventEmitter } from 'node:events';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { startRuntime } from '../../runner/embed.ts';
import type { EmbeddedRuntime, FlowEntry, LogLine, RuntimeOptions } from '../../runner/runtime.ts';
import { StubEngine } from './tracker-nodes.ts';

// Node-RED adds listeners at each start and never takes them away: one start per process is what it expects.
const nodeRedUtil: { events: EventEmitter } = createRequire(import.meta.url)('@node-red/util');
nodeRedUtil.events.setMaxListeners(0);

/** A running Node-RED with the nodes of tracker-nodes.ts, in a user directory of its own. */
export interface TestRuntime {
  readonly runtime: EmbeddedRuntime;
  readonly engine: StubEngine;
  readonly lines: LogLine[];
  readonly userDir: string;
  stop(): Promise<void>;
}

/** Starts Node-RED with a flow. Only one may run in a process at a time. */
export async function startTestRuntime(
  flows: readonly FlowEntry[],
  options: Partial<RuntimeOptions> = {},
): Promise<TestRuntime> {
  const userDir = await mkdtemp(path.join(tmpdir(), 'dbackup-runtime-'));
  const engine = new StubEngine();
  const lines: LogLine[] = [];
  const remove = () => rm(userDir, { recursive: true, force: true });
  try {
    const packageDir = await testPackage(userDir);
    const { settings, ...rest } = options;
    const runtime = await startRuntime({
      flows,
      userDir,
      packageDir,
      logger: (line) => lines.push(line),
      countMessages: true,
      ...rest,
      settings: { testEngine: engine, ...settings },
    });
    const stop = async () => {
      await runtime.stop();
      await remove();
    };
    return { runtime, engine, lines, userDir, stop };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** A node package whose only set is tracker-nodes.ts. */
async function testPackage(userDir: string): Promise<string> {
  const dir = path.join(userDir, 'tracker-test-nodes');
  await mkdir(dir);
  const source = path.join(import.meta.dirname, 'tracker-nodes.ts');
  const types = [
    'source',
    'step',
    'destination',
    'sink',
    'loser',
    'late',
    'failing',
    'throwing',
    'old',
    'two-handlers',
    'send-after-done',
    'broken',
  ];
  const declared = types.map((type) => `// registerType('test-${type}')`).join('\n');
  await writeFile(
    path.join(dir, 'package.json'),
    JSON.stringify({
      name: 'tracker-test-nodes',
      version: '1.0.0',
      type: 'module',
      'node-red': { nodes: { test: 'nodes.js' } },
    }),
  );
  await writeFile(
    path.join(dir, 'nodes.js'),
    `${declared}\nexport { default } from '${pathToFileURL(source).href}';\n`,
  );
  return dir;
}
