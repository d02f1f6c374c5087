import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { freePort } from '../free-port.ts';
import { until } from '../until.ts';

const ROOT = join(import.meta.dirname, '../../..');
const require = createRequire(import.meta.url);
const START_WITHIN_MS = 180_000;

export interface NodeRedOptions {
  /** Becomes the user directory. */
  readonly userDir: string;
  /** The flow that is deployed at the start. */
  readonly flow?: readonly unknown[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Added to the settings of every test. */
  readonly settings?: Readonly<Record<string, unknown>>;
}

/** Node-RED 5 of this checkout with its editor, as a process of its own on 127.0.0.1. */
export class NodeRed {
  readonly url: string;
  readonly #child: ChildProcess;
  #output = '';

  private constructor(url: string, child: ChildProcess) {
    this.url = url;
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => (this.#output += text));
    }
  }

  /** Starts Node-RED over a user directory in which the package is installed already. */
  static async start({ userDir, flow, environment, settings }: NodeRedOptions): Promise<NodeRed> {
    const port = await freePort();
    writeFileSync(join(userDir, 'settings.json'), JSON.stringify({ ...SETTINGS, ...settings }));
    writeFileSync(join(userDir, 'settings.js'), "module.exports = require('./settings.json');\n");
    if (flow !== undefined) writeFileSync(join(userDir, 'flows.json'), JSON.stringify(flow));
    const {
      DBACKUP_MASTER_KEY: _,
      DBACKUP_MASTER_KEY_FILE: __,
      DBACKUP_DATA: ___,
      ...inherited
    } = process.env;
    const child = spawn(
      process.execPath,
      [require.resolve('node-red/red.js'), '--userDir', userDir, '--port', String(port)],
      { cwd: userDir, env: { ...inherited, ...environment }, stdio: ['ignore', 'pipe', 'pipe'] },
    );
    const server = new NodeRed(`http://127.0.0.1:${port}`, child);
    await until(() => {
      assert.equal(child.exitCode, null, `Node-RED ended: ${server.output}`);
      return server.output.includes('Started flows');
    }, START_WITHIN_MS);
    return server;
  }

  /** The log so far. */
  get output(): string {
    return this.#output;
  }

  get<Answer>(path: string, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    return fetch(`${this.url}${path}`, { headers: { accept: 'application/json', ...headers } }).then(
      (answer) => answer.json() as Promise<Answer>,
    );
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await exited;
  }
}

/** No question to the outside, no tour, no tips. */
const SETTINGS = {
  uiHost: '127.0.0.1',
  flowFile: 'flows.json',
  credentialSecret: 'a secret of the tests',
  telemetry: { enabled: false, updateNotification: false },
  externalModules: { autoInstall: false, palette: { allowInstall: false }, modules: { allowInstall: false } },
  editorTheme: { tours: false, palette: { catalogues: [] }, projects: { enabled: false } },
} as const;

/** Makes a user directory in which this checkout is installed, as `npm install <folder>` does it. */
export function linkPackage(userDir: string): void {
  assert.ok(existsSync(join(ROOT, 'dist/nodes')), 'The package is not built: run "npm run build" first');
  const scope = join(userDir, 'node_modules', '@dbackup');
  mkdirSync(scope, { recursive: true });
  symlinkSync(ROOT, join(scope, 'node-red'), 'junction');
  const dependencies = { '@dbackup/node-red': `file:${ROOT}` };
  writeFileSync(join(userDir, 'package.json'), JSON.stringify({ name: 'test', private: true, dependencies }));
}
