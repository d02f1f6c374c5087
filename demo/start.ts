import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import {
  ensureBuilt,
  ensureDatabase,
  ensureSecrets,
  flowEnvironment,
  PLACES,
  QUICK_START,
  ROOT,
} from './workspace.ts';

/*
 * `npm start`: Node-RED with this package and the quick-start flow, on 127.0.0.1:1880 (or PORT). Its user
 * directory, the database that it backs up and the folders that it stores into are in .demo; flows that are
 * changed there stay from call to call.
 */

ensureBuilt();
ensureDatabase();
ensureSecrets();
prepareUserDirectory();
const editor = `http://127.0.0.1:${process.env.PORT ?? 1880}`;
console.log(`The editor opens on ${editor} (Ctrl+C ends it)`);
const child = spawn(
  process.execPath,
  [nodeRed(), '--userDir', PLACES.nodeRed, '--settings', join(ROOT, 'demo', 'node-red-settings.cjs')],
  { env: { ...flowEnvironment(), CREDENTIAL_SECRET_FILE: PLACES.credentialSecret }, stdio: 'inherit' },
);
// Node-RED gets Ctrl+C from the terminal as well: this process only waits for its end.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.on('exit', (code, signal) => process.exit(code ?? (signal === null ? 1 : 0)));

function prepareUserDirectory(): void {
  const scope = join(PLACES.nodeRed, 'node_modules', '@dbackup');
  mkdirSync(scope, { recursive: true });
  const link = join(scope, 'node-red');
  rmSync(link, { force: true });
  symlinkSync(ROOT, link, 'junction');
  const manifest = {
    name: 'dbackup-demo',
    private: true,
    dependencies: { '@dbackup/node-red': `file:${ROOT}` },
  };
  writeFileSync(join(PLACES.nodeRed, 'package.json'), `${JSON.stringify(manifest, undefined, 2)}\n`);
  const flows = join(PLACES.nodeRed, 'flows.json');
  if (!existsSync(flows)) copyFileSync(QUICK_START, flows);
}

function nodeRed(): string {
  return createRequire(import.meta.url).resolve('node-red/red.js');
}
