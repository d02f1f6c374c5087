import type { EventEmitter } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { CATALOGUE_SETS, LANGUAGES, mergedCatalogue, ROOT } from '../../build/sources.ts';
import { allNodes } from '../../nodes/schemas.ts';
import { startRuntime } from '../../runner/embed.ts';
import type { EmbeddedRuntime, FlowEntry, LogLine, RuntimeOptions } from '../../runner/runtime.ts';
import type { Recorded } from './recorder-node.ts';
import { until } from './until.ts';

// Node-RED adds listeners at each start and never takes them away: one start per process is what it expects.
const nodeRedUtil: { events: EventEmitter } = createRequire(import.meta.url)('@node-red/util');
nodeRedUtil.events.setMaxListeners(0);

/** The backup nodes in a real Node-RED, with recorders in place of debug nodes. */
export interface NodesRuntime {
  readonly runtime: EmbeddedRuntime;
  readonly lines: readonly LogLine[];
  /** Messages that recorders with this name got. */
  recorded(name: string): Recorded['message'][];
  /** Waits until a recorder has got that many messages, and gives them back. */
  records(name: string, count: number): Promise<Recorded['message'][]>;
  stop(): Promise<void>;
}

const RECORDER = 'recorder';

/** Starts Node-RED with the package as it is in the repository, without building it. */
export async function startNodes(
  flows: readonly FlowEntry[],
  options: Partial<RuntimeOptions> = {},
): Promise<NodesRuntime> {
  const userDir = mkdtempSync(join(tmpdir(), 'dbackup-nodes-'));
  const remove = () => rmSync(userDir, { recursive: true, force: true });
  const records: Recorded[] = [];
  const lines: LogLine[] = [];
  try {
    const runtime = await startRuntime({
      flows: flows.map(toRecorder),
      userDir,
      packageDir: sourcePackage(userDir),
      logger: (line) => lines.push(line),
      countMessages: true,
      ...options,
      // What is tried again is tried at once.
      settings: { testRecords: records, dbackup: { retrySeconds: 0 }, ...options.settings },
    });
    const recorded = (name: string) =>
      records.filter(({ node }) => node === name).map(({ message }) => message);
    return {
      runtime,
      lines,
      recorded,
      async records(name, count) {
        await until(() => recorded(name).length >= count, 120_000).catch((error: Error) => {
          const log = lines.map(({ message }) => message).join('\n');
          throw new Error(`${name} has ${recorded(name).length} messages instead of ${count}:\n${log}`, {
            cause: error,
          });
        });
        return recorded(name);
      },
      async stop() {
        await runtime.stop();
        remove();
      },
    };
  } catch (error) {
    remove();
    throw error;
  }
}

/** The payload of a recorded message, which must be there. */
export function payloadOf<Payload>(message: Recorded['message'] | undefined): Payload {
  if (message === undefined) throw new Error('No message was recorded');
  return message.payload as Payload;
}

/** A flow template of the package. */
export function template(name: string): FlowEntry[] {
  return JSON.parse(readFileSync(join(ROOT, 'flows', `${name}.json`), 'utf8')) as FlowEntry[];
}

/** Id of a template's first node of that type. */
export function idOf(flows: readonly FlowEntry[], type: string): string {
  const found = flows.find((entry) => entry.type === type);
  if (found === undefined) throw new Error(`The flow has no ${type}`);
  return found.id;
}

function toRecorder(entry: FlowEntry): FlowEntry {
  return entry.type === 'debug' ? { ...entry, type: 'test-recorder' } : entry;
}

/** A node package whose sets are the sources of ours, with their texts. */
export function sourcePackage(userDir: string): string {
  const dir = join(userDir, 'dbackup-source-nodes');
  mkdirSync(dir);
  const sets = new Map(CATALOGUE_SETS.map((set) => [set as string, join(ROOT, `nodes/${set}.ts`)]));
  sets.set(RECORDER, join(import.meta.dirname, 'recorder-node.ts'));
  for (const [name, source] of sets) {
    const types = name === RECORDER ? ['test-recorder'] : typesOf(name);
    const declared = types.map((type) => `// registerType('${type}')\n`).join('');
    writeFileSync(
      join(dir, `${name}.js`),
      `${declared}export { default } from '${pathToFileURL(source).href}';\n`,
    );
  }
  for (const language of LANGUAGES) {
    mkdirSync(join(dir, 'locales', language), { recursive: true });
    for (const set of CATALOGUE_SETS) {
      const file = join(dir, 'locales', language, `${set}.json`);
      writeFileSync(file, JSON.stringify(mergedCatalogue(language, set)));
    }
  }
  const nodes = Object.fromEntries([...sets.keys()].map((name) => [`dbackup-${name}`, `${name}.js`]));
  const manifest = { name: 'dbackup-source-nodes', version: '1.0.0', type: 'module', 'node-red': { nodes } };
  writeFileSync(join(dir, 'package.json'), JSON.stringify(manifest));
  return dir;
}

function typesOf(set: string): string[] {
  return allNodes.filter((node) => node.set === set).map(({ type }) => type);
}
