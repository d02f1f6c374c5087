import assert from 'node:assert/strict';
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import Database from 'better-sqlite3';
import { delay, node, TAB } from '../support/flows.ts';
import { freePort } from '../support/free-port.ts';
import { installPacked } from '../support/installed-package.ts';
import { until } from '../support/until.ts';

interface NodeSetInfo {
  readonly id: string;
  readonly types: readonly string[];
  readonly err?: string;
}

describe('The packed package on Node-RED 4.1', function () {
  this.timeout(300_000);
  let folder: string;
  let userDir: string;

  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'dbackup-node-red-4-'));
    await installPacked(folder, ['node-red@4.1']);
    userDir = path.join(folder, 'user');
    await mkdir(userDir);
    const settings = { uiHost: '127.0.0.1', credentialSecret: false, telemetry: { enabled: false } };
    await writeFile(path.join(userDir, 'settings.js'), `module.exports = ${JSON.stringify(settings)};`);
    const database = new Database(path.join(folder, 'shop.sqlite'));
    database.exec("CREATE TABLE item (name TEXT); INSERT INTO item VALUES ('one'), ('two')");
    database.close();
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const inFolder = (...names: string[]) => path.join(folder, ...names);

  /** One dump for two storages; the message to the second comes late, through a link call. */
  function flow(storage: string) {
    return [
      TAB,
      node('in', 'inject', [['src']], { props: [] }),
      node('src', 'dbackup-sqlite', [['zip']], { job: 'shop', files: [inFolder('shop.sqlite')] }),
      node('zip', 'dbackup-compress', [['near', 'call']], { algorithm: 'zstd', level: 3 }),
      node('near', 'dbackup-local', [[]], { storage: 'st1', folder: '' }),
      node('call', 'link call', [['far']], { links: ['into'], linkType: 'static', timeout: '10' }),
      node('into', 'link in', [['wait']], { links: [] }),
      delay('wait', 300, 'back'),
      node('back', 'link out', [], { mode: 'return', links: [] }),
      node('far', 'dbackup-local', [[]], { storage: 'st2', folder: '' }),
      { id: 'st1', type: 'dbackup-local-storage', root: inFolder(storage, 'near') },
      { id: 'st2', type: 'dbackup-local-storage', root: inFolder(storage, 'far') },
    ];
  }

  async function writeFlow(storage: string): Promise<string> {
    for (const root of ['near', 'far']) await mkdir(inFolder(storage, root), { recursive: true });
    const file = path.join(userDir, `${storage}.json`);
    await writeFile(file, JSON.stringify(flow(storage)));
    return file;
  }

  async function manifests(storage: string): Promise<string[]> {
    const files = await readdir(inFolder(storage), { recursive: true });
    return files.filter((file) => path.basename(file) === 'manifest.json').sort();
  }

  /** Both storages hold the same one run. */
  async function assertOneRun(storage: string): Promise<void> {
    const found = await manifests(storage);
    assert.deepEqual(
      found.map((file) => file.split(path.sep)[0]),
      ['far', 'near'],
    );
    const read = found.map(async (file) => JSON.parse(await readFile(inFolder(storage, file), 'utf8')));
    const runs = (await Promise.all(read)).map(({ runId, status }: { runId: string; status: string }) => [
      runId,
      status,
    ]);
    assert.deepEqual(runs[0], runs[1]);
    assert.equal(runs[0]?.[1], 'complete');
  }

  it('is Node-RED 4.1 that is tested', async () => {
    const { version } = JSON.parse(await readFile(inFolder('node_modules/node-red/package.json'), 'utf8'));
    assert.match(version, /^4\.1\./);
  });

  it('loads every node set in the editor and backs up', async () => {
    const file = await writeFlow('editor');
    const port = await freePort();
    const server = startNodeRed(port, file);
    try {
      const url = `http://127.0.0.1:${port}`;
      await until(() => /Started flows/.test(server.output()), 120_000);
      const answer = await fetch(`${url}/nodes`, { headers: { accept: 'application/json' } });
      const sets = ((await answer.json()) as NodeSetInfo[]).filter(({ id }) =>
        id.startsWith('@dbackup/node-red/'),
      );
      const manifest = JSON.parse(
        await readFile(path.join(import.meta.dirname, '../../package.json'), 'utf8'),
      );
      const declared = Object.keys(manifest['node-red'].nodes).map((name) => `@dbackup/node-red/${name}`);
      assert.deepEqual(sets.map(({ id }) => id).sort(), declared.sort());
      assert.deepEqual(
        sets.filter(({ err }) => err !== undefined),
        [],
      );
      const forms = await (await fetch(`${url}/nodes`, { headers: { accept: 'text/html' } })).text();
      for (const type of sets.flatMap(({ types }) => types)) assert.ok(forms.includes(`"${type}"`), type);

      assert.equal((await fetch(`${url}/inject/in`, { method: 'POST' })).status, 200);
      await until(async () => (await manifests('editor')).length === 2, 120_000);
      await assertOneRun('editor');
      assert.doesNotMatch(server.output(), /\[error\]/);
    } finally {
      await server.stop();
    }
  });

  it('runs the same flow headless', async () => {
    const file = await writeFlow('headless');
    const dbackup = inFolder('node_modules/@dbackup/node-red/dist/runner/main.js');
    const args = [dbackup, 'run', file, '--user-dir', userDir, '--data', inFolder('data')];
    await promisify(execFile)(process.execPath, args, { cwd: folder, timeout: 60_000 });
    await assertOneRun('headless');
  });

  function startNodeRed(port: number, flowFile: string): { output: () => string; stop: () => Promise<void> } {
    const main = inFolder('node_modules/node-red/red.js');
    const child: ChildProcess = spawn(process.execPath, [main, '-u', userDir, '-p', String(port), flowFile], {
      cwd: folder,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let text = '';
    for (const stream of [child.stdout, child.stderr])
      stream?.on('data', (chunk: Buffer) => (text += chunk.toString()));
    const stop = async () => {
      if (child.exitCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGTERM');
      await exited;
    };
    return { output: () => text, stop };
  }
});
